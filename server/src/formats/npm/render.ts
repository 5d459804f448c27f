/** Packuments as clients get them, joined of texts that are ready, a few at a time so that nobody waits for long. */
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { RenderedBody } from '../../lib/rendered.ts';
import { latestOf, type Packument, type Release, tagsOf } from './packument.ts';

export type Style = 'full' | 'short';

export const MEDIA_TYPES: Readonly<Record<Style, string>> = {
  full: 'application/json',
  short: 'application/vnd.npm.install-v1+json',
};

/** Joined at once: some milliseconds of work. */
const AT_ONCE = 250;
/** Said of the latest version, these are said of the package. */
const HOISTED = ['description', 'homepage', 'keywords', 'repository', 'author', 'contributors', 'bugs', 'license'];

/** The document; `base` is the address of the repository, to which the addresses of tarballs belong. */
export async function renderPackument(doc: Packument, style: Style, base: string): Promise<RenderedBody> {
  const hash = createHash('sha1');
  const parts: Buffer[] = [];
  const flush = (text: string) => {
    const bytes = Buffer.from(text);
    hash.update(bytes);
    parts.push(bytes);
  };
  let text = `${opening(doc, style)}"versions":{`;
  let count = 0;
  for (const release of doc.releases.values()) {
    text += `${count === 0 ? '' : ','}${JSON.stringify(release.version)}:${renderRelease(doc.name, release, style, base)}`;
    count += 1;
    if (count % AT_ONCE !== 0) continue;
    flush(text);
    text = '';
    await turn();
  }
  flush(`${text}},"time":`);
  if (parts.length > 1) await turn();
  flush(`${renderTimes(doc)}${style === 'full' ? closing(doc) : ''}}`);
  if (parts.length > 2) await turn();
  return { bytes: Buffer.concat(parts), mediaType: MEDIA_TYPES[style], etag: hash.digest('hex') };
}

/** One version, as it stands in documents and by itself. */
export function renderRelease(name: string, release: Release, style: Style, base: string): string {
  const { path, dist, deprecated, attested, version } = release;
  const said = deprecated === undefined ? '' : `,"deprecated":${JSON.stringify(deprecated)}`;
  const more = dist === '' ? '' : `,${dist}`;
  const attestations =
    attested === undefined
      ? ''
      : `,"attestations":${JSON.stringify({
          url: `${base}/-/npm/v1/attestations/${encodeURIComponent(`${name}@${version}`)}`,
          provenance: { predicateType: attested },
        })}`;
  const tarball = JSON.stringify(`${base}/${/^[\w@./-]+$/.test(path) ? path : encodeURI(path)}`);
  return `{${release[style]}${said},"dist":{"tarball":${tarball}${more}${attestations}}}`;
}

function opening(doc: Packument, style: Style): string {
  const { name, rev, modified } = doc;
  const tags = `"dist-tags":${JSON.stringify(tagsOf(doc))},`;
  if (style === 'short') {
    return `{"name":${JSON.stringify(name)},${modified === undefined ? '' : `"modified":${JSON.stringify(modified)},`}${tags}`;
  }
  return `{"_id":${JSON.stringify(name)},"_rev":${JSON.stringify(rev)},"name":${JSON.stringify(name)},${tags}`;
}

function renderTimes({ created, modified, releases }: Packument): string {
  const times: string[] = [];
  if (created !== undefined) times.push(`"created":${JSON.stringify(created)}`);
  if (modified !== undefined) times.push(`"modified":${JSON.stringify(modified)}`);
  for (const { version, time } of releases.values()) {
    if (time !== undefined) times.push(`${JSON.stringify(version)}:"${time}"`);
  }
  return `{${times.join(',')}}`;
}

/** What a full document says of the package. */
function closing(doc: Packument): string {
  const latest = doc.releases.get(latestOf(doc) ?? '');
  const manifest = latest ? (JSON.parse(`{${latest.full}}`) as Record<string, unknown>) : {};
  const hoisted = Object.fromEntries(
    HOISTED.filter((key) => Object.hasOwn(manifest, key)).map((key) => [key, manifest[key]]),
  );
  const { maintainers, users, readme } = doc;
  const rest = { ...hoisted, maintainers, users, readme: readme?.text ?? '', readmeFilename: readme?.fileName ?? '' };
  return `,${JSON.stringify(rest).slice(1, -1)}`;
}
