/** What is kept of each distribution: the row that indexes are built from, and the properties that people search. */
import { AppError, isAppError } from '../../core/errors.ts';
import type { Incoming, Ingested } from '../../core/format.ts';
import { clip, type Properties, type RepoPath, type Sha256, splitPath } from '../../core/ids.ts';
import type { ByteSource } from '../../lib/archives/budget.ts';
import { type Distribution, readDistribution } from './archive.ts';
import { fieldOf, fieldsOf } from './metadata.ts';
import { type DistributionName, distributionAt, distributionOf, releaseName } from './names.ts';

/** The metadata of a `package_version` row. Short, since all rows of a project are read for its index. */
export interface ReleaseFile {
  readonly version: string;
  readonly kind: DistributionName['kind'];
  readonly python: string;
  readonly md5?: string;
  readonly requiresPython?: string;
  readonly summary?: string;
  /** Of the METADATA of a wheel. */
  readonly metadata?: Sha256;
  /** The reason, or an empty text where none was given. */
  readonly yanked?: string;
  readonly signed?: boolean;
  readonly attested?: boolean;
}

/** What a deposit of the distribution says besides its bytes. */
export interface Described {
  readonly mediaType: string;
  readonly version: { readonly package: string; readonly version: string; readonly metadata: ReleaseFile };
  readonly properties: Properties;
}

const MAX_TEXT = 512;
const MAX_REQUIREMENTS = 1000;
export const YANKED = 'pypi.yanked';

/** Reads what is kept of a distribution at the path; throws `invalid` for what is none. */
export async function describeDistribution(
  name: DistributionName,
  { path, content, md5 }: { readonly path: RepoPath; readonly content: ByteSource; readonly md5: string | undefined },
): Promise<Described> {
  const row = releaseName(name, path);
  if (row === undefined) throw new AppError('invalid', 'The path is too long for the file to be indexed.');
  const found = await readDistribution(name, content);
  const release = releaseOf(name, found, md5);
  return {
    mediaType: mediaTypeOf(name.filename),
    version: { package: name.project, version: row, metadata: release },
    properties: propertiesOf(name, found, release),
  };
}

function releaseOf(name: DistributionName, { metadata, metadataSha256 }: Distribution, md5?: string): ReleaseFile {
  if (fieldsOf(metadata, 'requires-dist').length > MAX_REQUIREMENTS) {
    throw new AppError('invalid', `"${clip(name.filename)}" has more than ${MAX_REQUIREMENTS} lines Requires-Dist.`);
  }
  const requiresPython = fieldOf(metadata, 'requires-python');
  if (requiresPython !== undefined && requiresPython.length > MAX_TEXT) {
    throw new AppError('invalid', `The Requires-Python of "${clip(name.filename)}" is longer than ${MAX_TEXT}.`);
  }
  const summary = fieldOf(metadata, 'summary')?.slice(0, MAX_TEXT).toWellFormed();
  return {
    version: name.version,
    kind: name.kind,
    python: name.python,
    ...(md5 !== undefined && md5 !== '' && { md5 }),
    ...(requiresPython !== undefined && { requiresPython: requiresPython.replace(/\s+/g, ' ') }),
    ...(summary !== undefined && { summary }),
    ...(metadataSha256 !== undefined && { metadata: metadataSha256 }),
  };
}

function propertiesOf(name: DistributionName, { metadata }: Distribution, release: ReleaseFile): Properties {
  return {
    'pypi.name': [clip(fieldOf(metadata, 'name') ?? name.project, MAX_TEXT)],
    'pypi.normalized.name': [name.project],
    'pypi.version': [clip(fieldOf(metadata, 'version') ?? name.version, MAX_TEXT)],
    ...(release.summary !== undefined && { 'pypi.summary': [clip(release.summary, MAX_TEXT)] }),
    ...(release.requiresPython !== undefined && { 'pypi.requires.python': [release.requiresPython] }),
  };
}

export function mediaTypeOf(filename: string): string {
  if (/\.(whl|zip|egg)$/i.test(filename)) return 'application/zip';
  return /\.(tar\.gz|tgz)$/i.test(filename) ? 'application/x-gzip' : 'application/octet-stream';
}

/** Files put by plain path are indexed from the archive alone; what is no distribution is kept without. */
export async function ingest({ path, content, checksums }: Incoming): Promise<Ingested> {
  if (distributionOf(path) !== undefined) return {};
  const name = distributionAt(path);
  if (!name) {
    const { name: filename } = splitPath(path);
    return {
      unindexed: `"${clip(filename)}" is not the name of a wheel or a source distribution, so no index names it.`,
    };
  }
  try {
    return await describeDistribution(name, { path, content, md5: checksums.md5 });
  } catch (error) {
    if (isAppError(error, 'invalid')) return { unindexed: error.message };
    throw error;
  }
}
