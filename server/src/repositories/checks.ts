/** What must hold of a repository's configuration beside the form of each field, before it is stored. */

import { cacheKeyOf, remoteKeyOf } from '../core/cache-keys.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { type Layout, layoutOf } from '../core/layouts.ts';
import { packageTypeOf, REPOSITORY_CLASSES, type RepositoryClass } from '../core/package-types.ts';
import type { RepositoryRow } from '../db/repositories.ts';
import { KEY_PAIR_FIELDS } from './key-pairs.ts';
import { parsePatterns } from './limits.ts';
import type { Settings } from './settings.ts';
import { textOf } from './settings.ts';

/** A repository as it is to be stored. */
export type Candidate = Pick<RepositoryRow, 'key' | 'rclass' | 'packageType' | 'config'>;

export interface CheckContext {
  /** All repositories by key, with what the same change has done to them already. */
  readonly rows: ReadonlyMap<string, Candidate>;
  readonly layouts: ReadonlyMap<string, Layout>;
  /** Names of the key pairs there are. */
  readonly keyPairs: ReadonlySet<string>;
  /** Where this server is reached: a remote repository must not fetch from it. */
  readonly ownOrigins: readonly string[];
}

/** Types that hold the same kind of paths, so that one virtual repository may have several of them. */
const FAMILIES: readonly ReadonlySet<string>[] = [new Set(['maven', 'gradle', 'ivy', 'sbt'])];
/** Types whose clients fetch by digest, in several requests that must see the same bytes. */
const FETCHED_BY_DIGEST = new Set(['docker', 'oci', 'helmoci']);
/** Types whose virtual repositories may have members of any type: they give what lies at a path, whatever it is. */
const MIXED = new Set(['generic']);
const MAX_DEPTH = 10;

/** The class of this name in whatever case. */
export function parseClass(text: string): RepositoryClass {
  const found = REPOSITORY_CLASSES.find((rclass) => rclass === text.toLowerCase());
  if (found) return found;
  throw new AppError(
    'invalid',
    `"${clip(text)}" is no class of repositories. Known are: ${REPOSITORY_CLASSES.join(', ')}.`,
  );
}

/** The package type of this name, if repositories of the class can have it. */
export function parsePackageType(text: string, rclass: RepositoryClass): string {
  const found = packageTypeOf(text);
  if (!found || found.system) throw new AppError('invalid', `The package type "${clip(text)}" is not known.`);
  if (!found.classes.includes(rclass)) {
    throw new AppError(
      'invalid',
      `There are no ${rclass} repositories of the type "${found.name}": it exists as ${found.classes.join(', ')}.`,
    );
  }
  return found.name;
}

/**
 * The settings as they can be served. Clients ask for the first version of Docker's protocol without meaning it:
 * images are served by the second only, which is what is kept and answered.
 */
export function servedSettings(packageType: string, settings: Settings): Settings {
  if (settings['dockerApiVersion'] !== 'V1' || !FETCHED_BY_DIGEST.has(packageType)) return settings;
  return { ...settings, dockerApiVersion: 'V2' };
}

/** Refuses, as `invalid`, a configuration that contradicts itself or what is there. */
export function checkCandidate(candidate: Candidate, before: Candidate | undefined, context: CheckContext): void {
  const { config, rclass } = candidate;
  parsePatterns(textOf(config['includesPattern']));
  parsePatterns(textOf(config['excludesPattern']));
  checkLayout(config, context.layouts);
  checkProject(candidate, before);
  checkKeyPairs(config, before?.config ?? {}, context);
  if (!before) checkCacheKey(candidate, context);
  if (rclass === 'remote') checkRemote(candidate, context);
  if (rclass === 'virtual') checkVirtual(candidate, context);
  if (rclass === 'federated') checkFederated(config);
}

function checkLayout(config: Settings, layouts: ReadonlyMap<string, Layout>): void {
  for (const field of ['repoLayoutRef', 'remoteRepoLayoutRef']) {
    const name = textOf(config[field]);
    if (name !== '' && !layoutOf(name, layouts)) {
      throw new AppError('invalid', `There is no layout "${clip(name)}", which the field "${field}" names.`);
    }
  }
}

function checkProject({ key, config }: Candidate, before: Candidate | undefined): void {
  const project = textOf(config['projectKey']);
  if (project === '' || project === 'default' || project === before?.config['projectKey']) return;
  if (!/^[a-z][a-z0-9-]{1,31}$/.test(project)) {
    throw new AppError(
      'invalid',
      `"${clip(project)}" cannot be a project key: use 2 to 32 lower-case letters, digits or "-", beginning with a letter.`,
    );
  }
  if (!before && !key.startsWith(`${project}-`)) {
    throw new AppError(
      'invalid',
      `A repository of the project "${project}" must have a key that begins with "${project}-", which "${key}" does not.`,
    );
  }
}

function checkKeyPairs(config: Settings, before: Settings, { keyPairs }: CheckContext): void {
  for (const field of KEY_PAIR_FIELDS) {
    const name = textOf(config[field]);
    // One that was named before there were any to name does not stand in the way of other changes.
    if (name !== '' && !keyPairs.has(name) && name !== before[field]) {
      throw new AppError('invalid', `There is no key pair "${clip(name)}", which the field "${field}" names.`);
    }
  }
  const [primary, secondary] = [textOf(config['primaryKeyPairRef']), textOf(config['secondaryKeyPairRef'])];
  if (primary !== '' && primary === secondary) {
    throw new AppError('invalid', `The key pair "${clip(primary)}" cannot be the primary and the secondary at once.`);
  }
}

/** What a remote repository holds has a key of its own, which no other repository may have in whatever case. */
function checkCacheKey({ key, rclass }: Candidate, { rows }: CheckContext): void {
  const find = (name: string) => [...rows.values()].find((row) => row.key.toLowerCase() === name.toLowerCase());
  const remote = find(remoteKeyOf(key.toLowerCase()) ?? '');
  if (remote?.rclass === 'remote') {
    throw new AppError('invalid', `"${key}" is the key of what the remote repository "${remote.key}" holds.`);
  }
  const other = rclass === 'remote' ? find(cacheKeyOf(key)) : undefined;
  if (other) {
    throw new AppError(
      'invalid',
      `What the remote repository "${key}" holds would have the key "${cacheKeyOf(key)}", which the repository "${other.key}" has.`,
    );
  }
}

function checkRemote({ key, packageType, config }: Candidate, { ownOrigins }: CheckContext): void {
  const url = textOf(config['url']);
  if (url === '') throw new AppError('invalid', `The remote repository "${key}" needs a "url" to fetch from.`);
  const target = checkUrl('url', url);
  if (ownOrigins.includes(target.origin)) {
    throw new AppError('invalid', 'The field "url" names this server itself, so requests would go round in a loop.');
  }
  if (config['storeArtifactsLocally'] === false && FETCHED_BY_DIGEST.has(packageType)) {
    throw new AppError(
      'invalid',
      `A remote repository of the type "${packageType}" cannot work with "storeArtifactsLocally" set to false.`,
    );
  }
  if (config['disableProxy'] === true && textOf(config['proxy']) !== '') {
    throw new AppError('invalid', 'With "disableProxy" set to true the field "proxy" must be empty.');
  }
}

function checkFederated(config: Settings): void {
  const members = Array.isArray(config['members']) ? (config['members'] as readonly Settings[]) : [];
  for (const member of members) checkUrl('members.url', textOf(member['url']));
}

function checkUrl(field: string, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    throw new AppError('invalid', `The field "${field}" must be an address that begins with http:// or https://.`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new AppError(
      'invalid',
      `The field "${field}" holds a user name or password. Put them into fields of their own.`,
    );
  }
  return url;
}

function checkVirtual(candidate: Candidate, context: CheckContext): void {
  const { key, config } = candidate;
  const members = namesOf(config['repositories']);
  for (const [i, member] of members.entries()) {
    if (member === key)
      throw new AppError('invalid', `The virtual repository "${key}" cannot have itself as a member.`);
    if (members.indexOf(member) !== i) {
      throw new AppError('invalid', `The virtual repository "${key}" names the member "${clip(member)}" twice.`);
    }
    checkMember(candidate, member, context);
  }
  checkCycles(candidate, context);
  for (const name of namesOf(config['localNameShadowingExceptions'])) parsePatterns(name);
  const deployment = textOf(config['defaultDeploymentRepo']);
  if (deployment === '') return;
  const target = context.rows.get(deployment);
  if (!members.includes(deployment) || !target || (target.rclass !== 'local' && target.rclass !== 'federated')) {
    throw new AppError(
      'invalid',
      `The field "defaultDeploymentRepo" must name a local member of the repository, which "${clip(deployment)}" is not.`,
    );
  }
  if (!areRelated(candidate.packageType, target.packageType)) {
    throw new AppError(
      'invalid',
      `"${target.key}" is of the type "${target.packageType}", so nothing can be deployed to it through a ${candidate.packageType} repository.`,
    );
  }
}

function checkMember({ key, packageType }: Candidate, member: string, { rows }: CheckContext): void {
  const row = rows.get(member);
  if (!row) {
    throw new AppError('invalid', `There is no repository "${clip(member)}", which the field "repositories" names.`);
  }
  if (MIXED.has(packageType) || areRelated(packageType, row.packageType)) return;
  throw new AppError(
    'invalid',
    `"${row.key}" is of the type "${row.packageType}", so the ${packageType} repository "${key}" cannot have it as a member.`,
  );
}

function areRelated(one: string, other: string): boolean {
  return one === other || FAMILIES.some((family) => family.has(one) && family.has(other));
}

/** Follows the members of members; nothing may lead back here, nor go on for ever. */
function checkCycles(candidate: Candidate, { rows }: CheckContext): void {
  const seen = new Set<string>();
  const visit = (key: string, depth: number) => {
    if (depth > MAX_DEPTH) {
      throw new AppError(
        'invalid',
        `Virtual repositories below "${candidate.key}" are nested deeper than ${MAX_DEPTH}.`,
      );
    }
    const config = key === candidate.key ? candidate.config : rows.get(key)?.config;
    for (const member of namesOf(config?.['repositories'])) {
      if (member === candidate.key) {
        throw new AppError(
          'invalid',
          `The virtual repository "${candidate.key}" would contain itself through "${key}".`,
        );
      }
      if (seen.has(member)) continue;
      seen.add(member);
      visit(member, depth + 1);
    }
  };
  visit(candidate.key, 0);
}

/** A list of names as a setting holds it. */
export function namesOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((name) => typeof name === 'string') : [];
}
