/** Names and versions of packages, and the paths at which their files lie. */
import semver from 'semver';
import validateName from 'validate-npm-package-name';
import { AppError } from '../../core/errors.ts';
import { clip, parseRepoPath, type RepoPath } from '../../core/ids.ts';

const MAX_NAME = 214;
const MAX_VERSION = 256;
const NAME = /^(?:@[^\s/@._~%][^\s/@~%\\]*\/)?[^\s/@._~%\\][^\s/@%\\]*$/;
const VERSION = /^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:[-+].+)?$/;

/** A package's name as an address has it, its slash encoded or not; refuses, as `invalid`, what is none. */
export function parseName(text: string): string {
  const name = text.replace(/^(@[^/%]+)%2F/i, '$1/');
  if (name.length > MAX_NAME) {
    throw new AppError('invalid', `The name of a package cannot be longer than ${MAX_NAME} characters.`);
  }
  if (!isName(name)) {
    throw new AppError('invalid', `"${clip(name)}" is not the name of a package: use "name" or "@scope/name".`);
  }
  return name;
}

/** Whether a package may have the name; those of old may hold capitals. */
export function isName(name: string): boolean {
  return name.length <= MAX_NAME && NAME.test(name) && validateName(name).validForOldPackages;
}

/** The same for a package to be published, whose name follows the rules of today. */
export function parseNewName(text: string): string {
  const name = parseName(text);
  const { errors = [], warnings = [] } = validateName(name);
  // Names of Node's own modules are nobody's business in a registry of one's own.
  const problem = [...errors, ...warnings].find((message) => !message.includes('core module'));
  if (problem !== undefined) {
    throw new AppError('invalid', `A package cannot be published as "${clip(name)}": ${problem}.`);
  }
  return name;
}

export function isVersion(text: string): boolean {
  return text.length <= MAX_VERSION && VERSION.test(text) && semver.parse(text) !== null;
}

/** Takes a strict semantic version, as every client sends it; refuses anything else as `invalid`. */
export function parseVersion(text: string): string {
  if (isVersion(text)) return text;
  throw new AppError('invalid', `"${clip(text)}" is not a version: it must be like 1.2.3 or 1.2.3-beta.1.`);
}

/** Takes a name that can point to a version, which nobody could mistake for a version or a range. */
export function parseTag(text: string): string {
  const isPlain = /^[^\s/\\%]{1,128}$/.test(text) && encodeURIComponent(text) === text;
  if (!isPlain || text === '__proto__') {
    throw new AppError('invalid', `"${clip(text)}" cannot be a tag: use up to 128 letters, digits, ".", "_" or "-".`);
  }
  if (semver.validRange(text) !== null) {
    throw new AppError('invalid', `"${clip(text)}" cannot be a tag, because it reads like a version or a range.`);
  }
  return text;
}

/** The last of the name, behind its scope. */
export function baseName(name: string): string {
  return name.slice(name.indexOf('/') + 1);
}

export function tarballPath(name: string, version: string): RepoPath {
  return parseRepoPath(`${name}/-/${name}-${version}.tgz`);
}

/** The name of a tarball's row: the same version may lie at several paths, of which one is where it belongs. */
export function rowName(name: string, version: string, path: RepoPath): string {
  return path === tarballPath(name, version) ? version : `${version}/${path}`;
}

/** The version in the name of a row. */
export function versionOfRow(row: string): string {
  return row.split('/', 1)[0] as string;
}

/** Where the attestations of a version lie. */
export function attestationsPath(name: string, version: string): RepoPath {
  return parseRepoPath(`${name}/-/${name}-${version}.sigstore`);
}

/** Where it is noted that a version was removed, so that its number is not given to something else. */
export function removalPath(name: string, version: string): RepoPath {
  return parseRepoPath(`${name}/-/${name}-${version}.unpublished`);
}

/** Where the document of a package would lie if it were a file: rights to it are asked for this. */
export function packumentPath(name: string): RepoPath {
  return parseRepoPath(`.npm/${name}/package.json`);
}

const TARBALL = /^((?:@[^/]+\/)?([^/@]+))\/-\/(?:@[^/]+\/)?([^/]+)\.tgz$/;

/** The package and the version whose tarball a path is by its spelling. */
export function readTarballPath(path: string): { readonly name: string; readonly version: string } | undefined {
  const [, name, base, file] = TARBALL.exec(path) ?? [];
  if (name === undefined || file === undefined || !file.startsWith(`${base}-`)) return undefined;
  const version = file.slice((base as string).length + 1);
  return isVersion(version) && isName(name) ? { name, version } : undefined;
}

/** The other spelling of a scoped tarball's path: with the scope before the file's name, or without. */
export function otherSpelling(path: RepoPath): RepoPath | undefined {
  const [, scope, base, again, file] = /^(@[^/]+)\/([^/]+)\/-\/(@[^/]+\/)?([^/]+)$/.exec(path) ?? [];
  if (scope === undefined || (again !== undefined && again !== `${scope}/`)) return undefined;
  return parseRepoPath(again === undefined ? `${scope}/${base}/-/${scope}/${file}` : `${scope}/${base}/-/${file}`);
}

/** Negative, zero or positive; versions that are none come first. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [semver.parse(a), semver.parse(b)];
  if (left && right) return semver.compareBuild(left, right);
  return left ? 1 : right ? -1 : 0;
}

/** The highest of the versions that it was shown; of stable ones, where there was any. */
export class HighestVersion {
  #best: { readonly version: string; readonly stable: boolean; readonly parsed: semver.SemVer | null } | undefined;

  get version(): string | undefined {
    return this.#best?.version;
  }

  /** Whether it is the highest now. */
  see(version: string): boolean {
    const seen = { version, stable: !isPrerelease(version), parsed: semver.parse(version) };
    if (this.#best && !isHigher(seen, this.#best)) return false;
    this.#best = seen;
    return true;
  }
}

function isHigher(
  a: { readonly stable: boolean; readonly parsed: semver.SemVer | null },
  b: { readonly stable: boolean; readonly parsed: semver.SemVer | null },
): boolean {
  if (a.stable !== b.stable) return a.stable;
  if (!a.parsed || !b.parsed) return a.parsed !== null;
  return semver.compareBuild(a.parsed, b.parsed) >= 0;
}

export function isPrerelease(version: string): boolean {
  return /^[^+]*-/.test(version);
}

/** What the version is without its build metadata, which takes no part in the order of versions. */
export function withoutBuild(version: string): string {
  return version.split('+', 1)[0] as string;
}
