/** What a POM says of its release, and whether it lies where it says it belongs. */
import { readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import type { Content } from '../../core/repository.ts';
import { childOf, readXml, textOf, type XmlLimits, type XmlNode, XmlProblem } from '../../lib/xml-reader.ts';
import type { Coordinates } from './paths.ts';

export const POM_LIMITS: XmlLimits = { maxBytes: 4 * 1024 * 1024, maxDepth: 100, maxNodes: 150_000 };
const MAX_TEXT = 2000;
const MAX_DEPENDENCIES = 500;
const MAX_LICENSES = 20;

export interface Dependency {
  readonly group: string;
  readonly artifact: string;
  readonly version?: string;
  readonly scope?: string;
  readonly optional?: true;
}

/** What indexes and people are told of a release. */
export interface PomFacts {
  readonly packaging: string;
  readonly name?: string;
  readonly description?: string;
  readonly url?: string;
  readonly licenses?: readonly string[];
  readonly dependencies?: readonly Dependency[];
  /** How users of a plugin call it, where the POM says so. */
  readonly goalPrefix?: string;
}

/** The top element of a POM that is kept; throws an `XmlProblem` for what is none. */
export async function readPomOf(content: Content): Promise<XmlNode> {
  const { maxBytes } = POM_LIMITS;
  if (content.size > maxBytes) throw new XmlProblem(`it is larger than ${maxBytes} bytes`);
  return readPom(content.inline ?? (await readAll(await content.open(), { limit: maxBytes, what: 'POM' })));
}

/** The top element of a POM; throws an `XmlProblem` for what is none. */
export async function readPom(bytes: Buffer): Promise<XmlNode> {
  const root = await readXml(bytes, POM_LIMITS);
  if (root.name !== 'project') throw new XmlProblem(`its top element is <${clip(root.name)}>, not <project>`);
  return root;
}

/** Refuses, as `conflict`, a POM of another release than its path is of. What it leaves open is not compared. */
export function requireConsistent(pom: XmlNode, path: string, at: Coordinates): void {
  const parent = childOf(pom, 'parent');
  const said = (name: string) => textOf(pom, name) ?? (name === 'artifactId' ? undefined : textOf(parent, name));
  const expected: readonly (readonly [string, readonly string[]])[] = [
    ['groupId', [at.group]],
    ['artifactId', [at.artifact]],
    ['version', [at.version, at.revision]],
  ];
  for (const [name, values] of expected) {
    const value = said(name);
    if (value === undefined) {
      throw inconsistent(path, `it names no ${name}, neither itself nor by its parent`);
    }
    if (value.includes('${') || values.includes(value)) continue;
    throw inconsistent(
      path,
      `its ${name} is "${clip(value)}", but it was put where "${clip(values[0] ?? '')}" belongs`,
    );
  }
}

function inconsistent(path: string, why: string): AppError {
  return new AppError(
    'conflict',
    `The POM "${clip(path, 300)}" does not fit its path: ${why}. Correct the POM or the address; an administrator can turn this check off by the setting "suppressPomConsistencyChecks".`,
  );
}

export function factsOf(pom: XmlNode): PomFacts {
  const [name, description, url] = ['name', 'description', 'url'].map((field) =>
    textOf(pom, field)?.slice(0, MAX_TEXT),
  );
  const licenses = (childOf(pom, 'licenses')?.children ?? [])
    .flatMap((license) => textOf(license, 'name') ?? textOf(license, 'url') ?? [])
    .slice(0, MAX_LICENSES);
  const dependencies = (childOf(pom, 'dependencies')?.children ?? []).flatMap(dependencyOf).slice(0, MAX_DEPENDENCIES);
  const goalPrefix = goalPrefixOf(pom);
  return {
    packaging: textOf(pom, 'packaging') ?? 'jar',
    ...(name !== undefined && { name }),
    ...(description !== undefined && { description }),
    ...(url !== undefined && { url }),
    ...(licenses.length > 0 && { licenses: licenses.map((license) => license.slice(0, MAX_TEXT)) }),
    ...(dependencies.length > 0 && { dependencies }),
    ...(goalPrefix !== undefined && { goalPrefix }),
  };
}

function dependencyOf(node: XmlNode): Dependency[] {
  const [group, artifact] = [textOf(node, 'groupId'), textOf(node, 'artifactId')];
  if (group === undefined || artifact === undefined) return [];
  const [version, scope] = [textOf(node, 'version'), textOf(node, 'scope')];
  return [
    {
      group: clip(group, 300),
      artifact: clip(artifact, 300),
      ...(version !== undefined && { version: clip(version, 300) }),
      ...(scope !== undefined && { scope: clip(scope) }),
      ...(textOf(node, 'optional') === 'true' && { optional: true as const }),
    },
  ];
}

/** As the configuration of the plugin that makes plugins has it. */
function goalPrefixOf(pom: XmlNode): string | undefined {
  const plugins = childOf(childOf(pom, 'build'), 'plugins')?.children ?? [];
  const maker = plugins.find((plugin) => textOf(plugin, 'artifactId') === 'maven-plugin-plugin');
  return textOf(childOf(maker, 'configuration'), 'goalPrefix');
}
