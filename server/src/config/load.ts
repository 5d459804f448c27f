/** Reads the configuration once, at the start: a YAML file, and over it the environment. */
import { loadAll, YAMLException } from 'js-yaml';
import type { z } from 'zod';
import { type Config, configSchema, SECTIONS, SPECIALS } from './config.ts';
import { type Environment, filePathOf, type Problem, readEnvironment, type Tree } from './environment.ts';
import { type Field, listFields, variableOf } from './field-list.ts';
import { suggest } from './suggest.ts';

export type { Config } from './config.ts';

/** Throws an error with the code `ENOENT` when there is no such file, as `readFileSync` does. */
export type ReadFile = (path: string) => string;

/** All that is wrong with a configuration, for the person who wrote it. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const lines = problems.map((problem) => `  ${problem.path} ${problem.message}.`);
    super(`The configuration cannot be used. Correct this and start again:\n${lines.join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

const DEFAULT_FILE = 'entrepot.yaml';

/** The whole configuration, frozen. Throws one ConfigError with everything that is wrong. */
export function loadConfig(env: Environment, readFile: ReadFile): Config {
  const problems: Problem[] = [];
  const sections = listFields(SECTIONS);
  const fields = [...sections, ...listFields(SPECIALS)];
  const inFile = readConfigFile(env, readFile, problems);
  const inEnvironment = readEnvironment(env, fields, problems);
  for (const field of fields.filter((each) => each.secret)) {
    dropOverridden(inFile, inEnvironment, field, problems);
  }
  // Maps are replaced whole, so that the environment can take away an entry of the file.
  const maps = new Set(fields.filter((each) => each.kind === 'map').map((each) => each.path.join('.')));
  const tree = overlay(inFile, inEnvironment, (path) => maps.has(path));
  for (const field of fields.filter((each) => each.secret)) revealFile(tree, field, readFile, problems);
  const result = configSchema.safeParse(tree);
  if (!result.success)
    problems.push(...result.error.issues.flatMap((issue) => explain(issue, { tree, inEnvironment, fields })));
  if (problems.length > 0 || !result.success) throw new ConfigError(withoutRepeats(problems));
  return result.data;
}

function readConfigFile(env: Environment, readFile: ReadFile, problems: Problem[]): Tree {
  const named = env['ENTREPOT_CONFIG'];
  const path = named || DEFAULT_FILE;
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' && !named) return {};
    problems.push({ path, message: `cannot be read (${codeOf(error)}); correct ENTREPOT_CONFIG or the file's rights` });
    return {};
  }
  let document: unknown;
  try {
    const documents = loadAll(text);
    if (documents.length > 1) problems.push({ path, message: 'holds several YAML documents; keep one' });
    document = documents[0];
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    problems.push({ path, message: `is not YAML: ${error.reason}${lineOf(error)}` });
    return {};
  }
  if (document === null || document === undefined) return {};
  if (!isTree(document)) {
    problems.push({ path, message: 'must hold sections such as "http:", each with its fields' });
    return {};
  }
  const tree = withoutNulls(document);
  for (const key of Object.keys(SPECIALS).flatMap((each) => [each, `${each}File`])) {
    if (!(key in tree)) continue;
    delete tree[key];
    problems.push({ path: key, message: `cannot be set in the file; use the variable ${variableOf([key])}` });
  }
  return tree;
}

function lineOf(error: YAMLException): string {
  return error.mark ? ` (line ${error.mark.line + 1})` : '';
}

/** A field without a value (`baseUrl:`) says nothing. */
function withoutNulls(tree: Tree): Tree {
  const entries = Object.entries(tree).filter(([, value]) => value !== null);
  return Object.fromEntries(entries.map(([key, value]) => [key, isTree(value) ? withoutNulls(value) : value]));
}

/** A secret in the environment replaces one in the file, whichever of the two forms each has. */
function dropOverridden(inFile: Tree, inEnvironment: Tree, field: Field, problems: Problem[]): void {
  const filePath = filePathOf(field.path);
  for (const tree of [inFile, inEnvironment]) {
    if (valueAt(tree, field.path) === undefined || valueAt(tree, filePath) === undefined) continue;
    const [one, other] =
      tree === inFile ? [field.path.join('.'), filePath.join('.')] : [field.path, filePath].map(variableOf);
    problems.push({ path: one ?? '', message: `and ${other} are both set; keep one of them` });
    remove(tree, filePath);
  }
  if (valueAt(inEnvironment, field.path) === undefined && valueAt(inEnvironment, filePath) === undefined) return;
  remove(inFile, field.path);
  remove(inFile, filePath);
}

/** Puts what a secret's file holds in the secret's place. */
function revealFile(tree: Tree, field: Field, readFile: ReadFile, problems: Problem[]): void {
  const filePath = filePathOf(field.path);
  const name = valueAt(tree, filePath);
  if (name === undefined) return;
  remove(tree, filePath);
  const parent = valueAt(tree, field.path.slice(0, -1)) as Tree;
  try {
    if (typeof name !== 'string') throw new TypeError('not a path');
    parent[field.path.at(-1) ?? ''] = readFile(name).replace(/\r?\n$/, '');
  } catch (error) {
    problems.push({
      path: filePath.join('.'),
      message: `names a file that cannot be read (${codeOf(error)}): "${name}"`,
    });
  }
}

function explain(
  issue: z.core.$ZodIssue,
  from: { readonly tree: Tree; readonly inEnvironment: Tree; readonly fields: readonly Field[] },
): Problem[] {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownField([...path, key], from.fields));
  const field = from.fields.find((each) => each.path.join('.') === path.join('.'));
  const value = field?.secret ? undefined : valueAt(from.tree, path);
  const variable = field && valueAt(from.inEnvironment, path) !== undefined ? ` (${variableOf(path)})` : '';
  return [{ path: `${path.join('.')}${variable}`, message: messageOf(issue, value) }];
}

function messageOf(issue: z.core.$ZodIssue, value: unknown): string {
  const but = typeof value === 'string' || typeof value === 'number' ? `, not ${JSON.stringify(value)}` : '';
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${TYPE_NAMES[issue.expected] ?? issue.expected}${but}`;
    case 'too_small':
      return issue.origin === 'string'
        ? `needs at least ${issue.minimum} characters`
        : `must be at least ${issue.minimum}${but}`;
    case 'too_big':
      return issue.origin === 'string'
        ? `may have at most ${issue.maximum} characters`
        : `must be at most ${issue.maximum}${but}`;
    case 'invalid_value':
      return `must be ${issue.values.map((choice) => `"${String(choice)}"`).join(' or ')}${but}`;
    case 'invalid_key':
      return issue.issues.map((inner) => inner.message).join('; ');
    default:
      return `${issue.message}${but}`;
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a section with fields',
  record: 'a map',
};

function unknownField(path: readonly string[], fields: readonly Field[]): Problem {
  const parent = path.slice(0, -1);
  const siblings = new Set<string>();
  for (const field of fields) {
    if (!parent.every((key, i) => field.path[i] === key) || field.path.length <= parent.length) continue;
    siblings.add(field.path[parent.length] ?? '');
    if (field.secret) siblings.add(filePathOf(field.path)[parent.length] ?? '');
  }
  const meant = suggest(path.at(-1) ?? '', siblings);
  const hint = meant ? `; did you mean ${[...parent, meant].join('.')}?` : '';
  return { path: path.join('.'), message: `is no known ${parent.length === 0 ? 'section' : 'field'}${hint}` };
}

function overlay(base: Tree, over: Tree, isWhole: (path: string) => boolean, at = ''): Tree {
  const result = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const path = at === '' ? key : `${at}.${key}`;
    const below = result[key];
    result[key] = isTree(below) && isTree(value) && !isWhole(path) ? overlay(below, value, isWhole, path) : value;
  }
  return result;
}

function valueAt(tree: Tree, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (branch, key) => (isTree(branch) && Object.hasOwn(branch, key) ? branch[key] : undefined),
    tree,
  );
}

function remove(tree: Tree, path: readonly string[]): void {
  const parent = valueAt(tree, path.slice(0, -1));
  if (isTree(parent)) delete parent[path.at(-1) ?? ''];
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

/** A field the environment could not convert was reported by its variable already. */
function withoutRepeats(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((problem) => [`${problem.path} ${problem.message}`, problem])).values()];
}
