/**
 * Layouts: how the path of an artifact reads as organization, module and revision. A pattern is text with `[token]`
 * in it, `[token<expression>]` for a token with a form of its own, and round brackets around what may be missing.
 */
import {
  again,
  type CharTest,
  capture,
  chars,
  choice,
  literal,
  type Matcher,
  matchWhole,
  optional,
  parseExpression,
  sequence,
} from './bounded-expression.ts';
import { type Part, parsePattern } from './layout-pattern.ts';
import { BUILT_IN_LAYOUTS } from './layouts-built-in.ts';
import { packageTypeOf } from './package-types.ts';

/** A layout as Artifactory's configuration writes it. */
export interface LayoutDefinition {
  readonly name: string;
  readonly artifactPathPattern: string;
  readonly distinctiveDescriptorPathPattern: boolean;
  readonly descriptorPathPattern?: string;
  readonly folderIntegrationRevisionRegExp: string;
  readonly fileIntegrationRevisionRegExp: string;
}

/** A layout that can read and write paths. */
export interface Layout extends LayoutDefinition {
  readonly artifact: PathPattern;
  readonly descriptor: PathPattern | undefined;
}

/** What a path says, for the tokens its layout has. */
export interface LayoutTokens {
  /** Parts separated by dots, however the path has them. */
  readonly org?: string;
  readonly module?: string;
  readonly baseRev?: string;
  readonly folderItegRev?: string;
  readonly fileItegRev?: string;
  readonly classifier?: string;
  readonly ext?: string;
  readonly type?: string;
  readonly custom: Readonly<Record<string, string>>;
}

export interface LayoutPath extends LayoutTokens {
  /** Whether it is of a revision still being worked on: a snapshot. */
  readonly integration: boolean;
  /** Whether it is a module's descriptor, such as a POM, rather than one of its artifacts. */
  readonly descriptor: boolean;
}

interface PathPattern {
  /** First with revisions that begin with a digit, which tells a module `left-pad` from its revision; then with any. */
  readonly matchers: readonly Matcher[];
  readonly parts: readonly Part[];
}

const PLAIN_LAYOUT = 'simple-default';

/** Compiles a layout; refuses, as `invalid`, patterns and expressions that cannot be read. */
export function compileLayout(definition: LayoutDefinition): Layout {
  const { artifactPathPattern, descriptorPathPattern, distinctiveDescriptorPathPattern } = definition;
  // What is wrong with them is said even where no token uses them.
  parseExpression(definition.folderIntegrationRevisionRegExp);
  parseExpression(definition.fileIntegrationRevisionRegExp);
  return {
    ...definition,
    artifact: compilePattern(artifactPathPattern, definition),
    descriptor:
      distinctiveDescriptorPathPattern && descriptorPathPattern
        ? compilePattern(descriptorPathPattern, definition)
        : undefined,
  };
}

/** The layout of this name: an administrator's own, else one that is built in. */
export function layoutOf(name: string, custom?: ReadonlyMap<string, Layout>): Layout | undefined {
  return custom?.get(name) ?? builtIn().get(name);
}

let compiled: ReadonlyMap<string, Layout> | undefined;

/** Compiled when the first is asked for. */
function builtIn(): ReadonlyMap<string, Layout> {
  compiled ??= new Map(BUILT_IN_LAYOUTS.map((definition) => [definition.name, compileLayout(definition)]));
  return compiled;
}

/** The names of the layouts that every server has. */
export function builtInLayouts(): readonly string[] {
  return BUILT_IN_LAYOUTS.map(({ name }) => name);
}

/** The layout a repository has when none is named for it. */
export function defaultLayoutOf(
  packageType: string,
  { rclass = 'local', terraformType }: { readonly rclass?: string; readonly terraformType?: unknown } = {},
): string {
  const layout = packageTypeOf(packageType)?.layout ?? PLAIN_LAYOUT;
  if (layout !== 'terraform-module-default') return layout;
  // Modules and providers differ in the paths of what is published, not of what is fetched.
  if (rclass === 'remote' || rclass === 'virtual' || terraformType === 'BACKEND') return PLAIN_LAYOUT;
  return terraformType === 'PROVIDER' ? 'terraform-provider-default' : layout;
}

/** What the path says in this layout; undefined when it is not of this layout. */
export function parseLayoutPath(layout: Layout, path: string): LayoutPath | undefined {
  const described = layout.descriptor && matchAny(layout.descriptor.matchers, path);
  const found = described ?? matchAny(layout.artifact.matchers, path);
  if (!found) return undefined;
  const custom: Record<string, string> = {};
  const known: Record<string, string> = {};
  for (const [name, value] of found) {
    if (name === 'orgPath') known['org'] = value.replaceAll('/', '.');
    else if (KNOWN_TOKENS.has(name)) known[name] = value;
    else custom[name] = value;
  }
  if (described) known['ext'] ??= path.slice(path.lastIndexOf('.') + 1);
  return {
    ...known,
    custom,
    integration: Boolean(known['folderItegRev'] ?? known['fileItegRev']),
    descriptor: described !== undefined,
  };
}

function matchAny(matchers: readonly Matcher[], path: string): ReadonlyMap<string, string> | undefined {
  for (const matcher of matchers) {
    const found = matchWhole(matcher, path);
    if (found) return found;
  }
  return undefined;
}

/** The path these tokens have in the layout, without the optional parts that lack one; undefined when one is missing. */
export function renderLayoutPath(
  layout: Layout,
  tokens: Partial<LayoutTokens>,
  options: { readonly descriptor?: boolean } = {},
): string | undefined {
  const pattern = (options.descriptor ? layout.descriptor : undefined) ?? layout.artifact;
  return renderParts(pattern.parts, (name) => tokenOf(name, tokens));
}

const KNOWN_TOKENS = new Set(['org', 'module', 'baseRev', 'folderItegRev', 'fileItegRev', 'classifier', 'ext', 'type']);

function tokenOf(name: string, tokens: Partial<LayoutTokens>): string | undefined {
  if (name === 'orgPath') return tokens.org?.replaceAll('.', '/');
  if (KNOWN_TOKENS.has(name)) return tokens[name as 'org'];
  return tokens.custom?.[name];
}

function renderParts(parts: readonly Part[], value: (name: string) => string | undefined): string | undefined {
  let text = '';
  for (const part of parts) {
    if ('text' in part) {
      text += part.text;
    } else if ('optional' in part) {
      text += renderParts(part.optional, value) ?? '';
    } else {
      const given = value(part.token);
      if (given === undefined || given === '') return undefined;
      text += given;
    }
  }
  return text;
}

function compilePattern(text: string, definition: LayoutDefinition): PathPattern {
  const parts = parsePattern(text);
  return { parts, matchers: [matcherOf(parts, definition, true), matcherOf(parts, definition, false)] };
}

function matcherOf(parts: readonly Part[], definition: LayoutDefinition, digits: boolean): Matcher {
  return sequence(
    parts.map((part) => {
      if ('text' in part) return literal(part.text);
      if ('optional' in part) return optional(matcherOf(part.optional, definition, digits));
      const { token, expression } = part;
      const form = expression === undefined ? formOf(token, definition, digits) : parseExpression(expression);
      // The same token stands for the same text wherever it stands.
      return again(part.token, capture(part.token, form));
    }),
  );
}

const NO_SLASH: CharTest = (code) => code !== 0x2f;
const ANY: CharTest = () => true;
const DIGIT: CharTest = (code) => code >= 0x30 && code <= 0x39;
const EXTENSION: CharTest = (code) => code !== 0x2f && code !== 0x2d;
const EXTENSION_START: CharTest = (code) => EXTENSION(code) && !DIGIT(code);
const MANY = { min: 1, max: Number.MAX_SAFE_INTEGER };

/** What a token may be. A revision ends where an extension begins: at a dot with no digit behind it. */
function formOf(token: string, definition: LayoutDefinition, digits: boolean): Matcher {
  switch (token) {
    case 'orgPath':
      return chars(ANY, { ...MANY, lazy: true });
    case 'org':
      return chars(NO_SLASH, MANY);
    case 'module':
      return chars(NO_SLASH, { ...MANY, lazy: digits });
    case 'baseRev':
      return digits
        ? sequence([chars(DIGIT, { min: 1, max: 1 }), chars(NO_SLASH, { ...MANY, min: 0, lazy: true })])
        : chars(NO_SLASH, { ...MANY, lazy: true });
    case 'folderItegRev':
      return parseExpression(definition.folderIntegrationRevisionRegExp);
    case 'fileItegRev':
      return parseExpression(definition.fileIntegrationRevisionRegExp);
    case 'ext':
      return choice([
        sequence([chars(EXTENSION_START, { min: 1, max: 1 }), chars(EXTENSION, { ...MANY, min: 0 })]),
        literal('7z'),
      ]);
    default:
      return chars(NO_SLASH, { ...MANY, lazy: true });
  }
}
