/** Packuments as clients get them, joined of texts that are ready, a few at a time so that nobody waits for long. */
import { Piece, type RenderedBody } from '../../lib/rendered.ts';
import { Spell } from '../../lib/spell.ts';
import { type Packument, type Release, tagsOf } from './packument.ts';

export type Style = 'full' | 'short';

export const MEDIA_TYPES: Readonly<Record<Style, string>> = {
  full: 'application/json',
  short: 'application/vnd.npm.install-v1+json',
};

/** Said of the latest version, these are said of the package. */
const HOISTED = ['description', 'homepage', 'keywords', 'repository', 'author', 'contributors', 'bugs', 'license'];

/** With so many versions a document is one piece. */
const FEW = 64;
/** So many versions of a document make a piece, unless one before marks its end. */
const MAX_GROUP = 256;
const MIN_GROUP = 32;
/** One of so many versions marks the end of a piece, so that a version more or less changes one piece only. */
const MARKS = 64;

/** Versions behind one another, and the pieces that they are in a document. */
interface Group {
  readonly releases: readonly Release[];
  readonly isFirst: boolean;
  readonly entries: Piece;
  readonly times: Piece;
}

/** By the piece of their entries. */
const groupOf = new WeakMap<Piece, Group>();

export interface RenderOptions {
  readonly style: Style;
  /** The address of the repository, to which the addresses of tarballs belong. */
  readonly base: string;
  /** Of what was last rendered in this style for this address. */
  readonly previous?: readonly Piece[] | undefined;
}

/** The document; what is in it as it was the last time is not rendered again. */
export async function renderPackument(doc: Packument, { style, base, previous }: RenderOptions): Promise<RenderedBody> {
  const mediaType = MEDIA_TYPES[style];
  const head = `${opening(doc, style)}"versions":{`;
  const middle = `},"time":{${openingTimes(doc)}`;
  const tail = `}${style === 'full' ? closing(doc) : ''}}`;
  if (doc.releases.size <= FEW) {
    const { entries, times } = textOf(doc.name, [...doc.releases.values()], { style, base });
    return { bytes: Buffer.from(`${head}${entries.slice(1)}${middle}${times}${tail}`), mediaType };
  }
  const groups = await piecesOf(doc, { style, base, previous });
  const pieces = [
    new Piece(head),
    ...groups.map(({ entries }) => entries),
    new Piece(middle),
    ...groups.map(({ times }) => times),
    new Piece(tail),
  ];
  return { pieces, mediaType };
}

async function piecesOf(doc: Packument, { style, base, previous = [] }: RenderOptions): Promise<readonly Group[]> {
  const known = new Map<Release | undefined, Group>();
  for (const piece of previous) {
    const group = groupOf.get(piece);
    if (group) known.set(group.releases[0], group);
  }
  const groups: Group[] = [];
  const spell = new Spell();
  for (const releases of groupsOf(doc)) {
    const isFirst = groups.length === 0;
    const kept = known.get(releases[0]);
    if (kept && kept.isFirst === isFirst && isSame(kept.releases, releases)) groups.push(kept);
    else {
      const group = renderGroup(doc.name, { releases, isFirst }, { style, base });
      // What an upstream says is read anew when it changes, so that nothing of it is found again.
      if (doc.own) groupOf.set(group.entries, group);
      groups.push(group);
    }
    if (spell.isOver) await spell.rest();
  }
  return groups;
}

function* groupsOf({ releases }: Packument): Iterable<readonly Release[]> {
  let group: Release[] = [];
  for (const release of releases.values()) {
    group.push(release);
    if (group.length < MAX_GROUP && (group.length < MIN_GROUP || !isMark(release.version))) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

function isMark(version: string): boolean {
  let hash = 0;
  for (let i = 0; i < version.length; i++) hash = (hash * 31 + version.charCodeAt(i)) | 0;
  return (hash ^ (hash >>> 7)) % MARKS === 0;
}

function isSame(one: readonly Release[], other: readonly Release[]): boolean {
  return one.length === other.length && one.every((release, i) => release === other[i]);
}

function renderGroup(
  name: string,
  { releases, isFirst }: Pick<Group, 'releases' | 'isFirst'>,
  options: RenderOptions,
): Group {
  const { entries, times } = textOf(name, releases, options);
  return { releases, isFirst, entries: new Piece(isFirst ? entries.slice(1) : entries), times: new Piece(times) };
}

/** Their entries and their times, each with a comma before it. */
function textOf(name: string, releases: readonly Release[], { style, base }: RenderOptions) {
  let [entries, times] = ['', ''];
  for (const release of releases) {
    const version = JSON.stringify(release.version);
    entries += `,${version}:${renderRelease(name, release, style, base)}`;
    if (release.time !== undefined) times += `,${version}:"${release.time}"`;
  }
  return { entries, times };
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

/** Where any version has a time, the package has one, so that what follows can begin with a comma. */
function openingTimes({ created, modified }: Packument): string {
  const times = [];
  if (created !== undefined) times.push(`"created":${JSON.stringify(created)}`);
  if (modified !== undefined) times.push(`"modified":${JSON.stringify(modified)}`);
  return times.join(',');
}

/** What a full document says of the package. */
function closing(doc: Packument): string {
  const latest = doc.releases.get(doc.latest ?? '');
  const manifest = latest ? (JSON.parse(`{${latest.full}}`) as Record<string, unknown>) : {};
  const hoisted = Object.fromEntries(
    HOISTED.filter((key) => Object.hasOwn(manifest, key)).map((key) => [key, manifest[key]]),
  );
  const { maintainers, stars, readme } = doc;
  const users = Object.fromEntries([...stars].map((user) => [user, true]));
  const rest = { ...hoisted, maintainers, users, readme: readme?.text ?? '', readmeFilename: readme?.fileName ?? '' };
  return `,${JSON.stringify(rest).slice(1, -1)}`;
}
