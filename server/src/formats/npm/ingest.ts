/** Files that are put by plain path, or come from an upstream: tarballs of packages are indexed wherever they lie. */
import type { Incoming, Ingested } from '../../core/format.ts';
import type { Properties } from '../../core/ids.ts';
import { isName, isVersion, parseTag, rowName } from './names.ts';
import { type ReleaseRow, releaseRow } from './release.ts';
import { NAME_PROPERTY, TAG_PROPERTY, VERSION_PROPERTY } from './tags.ts';
import { NotAPackage, readTarball, type Tarball } from './tarball.ts';

const MAX_VALUE = 500;
const MAX_KEYWORDS = 50;

export async function ingest({ path, content, properties = {} }: Incoming): Promise<Ingested> {
  if (!/\.(tgz|tar\.gz)$/i.test(path)) {
    return /\.sigstore$/.test(path) ? {} : { unindexed: 'It is not the tarball of an npm package.' };
  }
  let tarball: Tarball;
  try {
    tarball = await readTarball(content);
  } catch (error) {
    if (!(error instanceof NotAPackage)) throw error;
    return { unindexed: `It is no npm package: ${error.message}.` };
  }
  const { name, version: written } = tarball.manifest;
  const version = typeof written === 'string' ? written.trim().replace(/^[v=]+/, '') : '';
  if (typeof name !== 'string' || !isName(name) || !isVersion(version)) {
    return { unindexed: 'The name or the version in its package.json cannot be those of a package.' };
  }
  const tags = (properties[TAG_PROPERTY] ?? []).filter(isTag);
  const manifest = { ...tarball.manifest, version };
  const row = releaseRow(manifest, tarball, { at: Date.now(), tags });
  const key = rowName(name, version, path);
  return {
    mediaType: 'application/octet-stream',
    version: { package: name, version: key, metadata: row },
    properties: releaseProperties(manifest, row),
  };
}

function isTag(text: string): boolean {
  try {
    return parseTag(text) === text;
  } catch {
    return false;
  }
}

/** What searches find a tarball by. */
export function releaseProperties(manifest: Readonly<Record<string, unknown>>, row: ReleaseRow): Properties {
  const { name, description, keywords } = manifest;
  const words = Array.isArray(keywords) ? keywords : typeof keywords === 'string' ? [keywords] : [];
  const listed = words
    .filter((word): word is string => typeof word === 'string' && plain(word) !== '')
    .slice(0, MAX_KEYWORDS);
  const tags = Object.keys(row.tags).sort();
  return {
    [NAME_PROPERTY]: [String(name)],
    [VERSION_PROPERTY]: [row.version],
    ...(tags.length > 0 && { [TAG_PROPERTY]: tags }),
    ...(typeof description === 'string' && plain(description) !== '' && { 'npm.description': [plain(description)] }),
    ...(listed.length > 0 && { 'npm.keywords': [...new Set(listed.map(plain))] }),
  };
}

/** One line that every database takes. */
function plain(text: string): string {
  return text
    .slice(0, MAX_VALUE)
    .replace(/[\u0000-\u001f\u007f]+/g, ' ')
    .toWellFormed()
    .trim();
}
