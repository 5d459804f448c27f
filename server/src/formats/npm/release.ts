/** What is kept of each version: the parts of its entry in documents, ready to be joined. */
import type { PackageVersion } from '../../core/repository.ts';
import { baseName } from './names.ts';
import type { Tarball } from './tarball.ts';

/** Grows when what is kept changes its form. */
const FORM = 1;

/** In the row of a version. The texts are members of JSON objects, without the braces around them. */
export interface ReleaseRow {
  readonly form: typeof FORM;
  readonly version: string;
  readonly full: string;
  readonly short: string;
  readonly dist: string;
  readonly integrity: string;
  readonly publishedAt: number;
  /** When the last of the fields below changed. */
  readonly changedAt: number;
  /** With the moment at which each was set here: the latest of a package has it. */
  readonly tags: Readonly<Record<string, number>>;
  readonly deprecated?: string;
  /** The kind of the attestations that came along. */
  readonly attested?: string;
  readonly readme?: string;
  readonly readmeFilename?: string;
  /** What was said of the whole package, and when: the latest holds. */
  readonly maintainers?: Said<readonly unknown[]>;
  /** Users who starred the package when this was its latest version. */
  readonly stars?: readonly string[];
}

export interface Said<T> {
  readonly at: number;
  readonly value: T;
}

type Manifest = Readonly<Record<string, unknown>>;

const SHORT = [
  'name',
  'version',
  'dependencies',
  'optionalDependencies',
  'devDependencies',
  'peerDependencies',
  'peerDependenciesMeta',
  'acceptDependencies',
  'bundleDependencies',
  'bundledDependencies',
  'bin',
  'directories',
  'engines',
  'os',
  'cpu',
  'libc',
  'funding',
  '_hasShrinkwrap',
  'hasInstallScript',
];
/** What others say of a version, not its manifest, and what only the machine that packed it cared for. */
const LEFT_OUT = new Set([
  ...['dist', 'deprecated', 'readme', '_attachments', '_rev', '_resolved', '_from', '_integrity', '_shasum', '_where'],
  ...['_npmUser', '_npmOperationalInternal', '__proto__', 'constructor'],
]);

/** The row of a version by its manifest and its tarball. */
export function releaseRow(
  manifest: Manifest,
  tarball: Tarball,
  options: { readonly at: number; readonly tags: readonly string[]; readonly attested?: string | undefined },
): ReleaseRow {
  const { sha1, integrity, fileCount, unpackedSize, readme } = tarball;
  const scripts = recordOf(manifest['scripts']);
  const installs = ['preinstall', 'install', 'postinstall'].some((name) => typeof scripts[name] === 'string');
  const { bin } = manifest;
  const whole: Manifest = {
    ...manifest,
    ...(typeof bin === 'string' && { bin: { [baseName(String(manifest['name']))]: bin } }),
    _id: `${String(manifest['name'])}@${String(manifest['version'])}`,
    ...(tarball.hasShrinkwrap && { _hasShrinkwrap: true }),
    ...((installs || tarball.hasGyp) && { hasInstallScript: true }),
  };
  return {
    form: FORM,
    version: String(manifest['version']),
    ...manifestParts(whole),
    dist: members({ shasum: sha1, integrity, fileCount, unpackedSize }),
    integrity,
    publishedAt: options.at,
    changedAt: options.at,
    tags: Object.fromEntries(options.tags.map((tag) => [tag, options.at])),
    ...(options.attested !== undefined && { attested: options.attested }),
    ...(readme && { readme: readme.text, readmeFilename: readme.name }),
  };
}

/** A manifest as full and abbreviated documents have it; that of an upstream stays as it is there, for lock files do. */
export function manifestParts(manifest: Manifest): { readonly full: string; readonly short: string } {
  const whole = Object.fromEntries(Object.entries(manifest).filter(([key]) => !LEFT_OUT.has(key)));
  const short = Object.fromEntries(SHORT.filter((key) => Object.hasOwn(whole, key)).map((key) => [key, whole[key]]));
  return { full: members(whole), short: members(short) };
}

/** The members of an object as JSON, without its braces. */
export function members(value: object): string {
  return JSON.stringify(value).slice(1, -1);
}

/** What the row of a version says; undefined for rows of another form. */
export function readRow({ metadata }: Pick<PackageVersion, 'metadata'>): ReleaseRow | undefined {
  const row = metadata as Partial<ReleaseRow> | null;
  return row?.form === FORM ? (row as ReleaseRow) : undefined;
}

/** An object as it is, and nothing in the place of anything else. */
export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
