/** The document of a package: all its versions and what the tags point to. */
import type { DocumentSource } from '../../core/document.ts';
import type { RepoPath } from '../../core/ids.ts';
import type { PackageVersion } from '../../core/repository.ts';
import { Spell } from '../../lib/spell.ts';
import { HighestVersion, tarballPath } from './names.ts';
import { type ReleaseRow, readRow, type Said } from './release.ts';

/** A version as documents have it; the texts are members of JSON objects. */
export interface Release {
  readonly version: string;
  /** Where its tarball lies in the repository. */
  readonly path: RepoPath;
  readonly full: string;
  readonly short: string;
  /** What `dist` says beside where the tarball is. */
  readonly dist: string;
  /** ISO 8601. */
  readonly time: string | undefined;
  readonly deprecated: string | undefined;
  /** The kind of the attestations there are of it. */
  readonly attested: string | undefined;
  /** What verifies its tarball. */
  readonly integrity: string | undefined;
  /** Where an upstream has the tarball, if that is not the path below its address. */
  readonly link?: string;
}

export interface Packument {
  readonly name: string;
  readonly releases: ReadonlyMap<string, Release>;
  /** As they were given; what `latest` is without having been given follows from the versions. */
  readonly tags: ReadonlyMap<string, string>;
  /** What the tag `latest` stands for. */
  readonly latest: string | undefined;
  readonly created: string | undefined;
  readonly modified: string | undefined;
  readonly maintainers: readonly unknown[];
  /** Those who starred it. */
  readonly stars: ReadonlySet<string>;
  readonly readme: { readonly of: string; readonly text: string; readonly fileName: string } | undefined;
  /** Whether it was made of what was published here, as against what an upstream says. */
  readonly own: boolean;
  /** Names the state, for clients that change what they have read. */
  readonly rev: string;
  /** What it was built of, to build the next on. */
  readonly rows?: ReadonlyMap<string, Row | undefined>;
  readonly seen?: number;
}

/** A row as it is kept between two builds: without the readme, which is large and needed of one version only. */
interface Row {
  readonly sequence: number;
  readonly release: Release;
  readonly publishedAt: number;
  readonly tags: ReleaseRow['tags'];
  readonly changedAt: number;
  readonly maintainers: ReleaseRow['maintainers'];
  readonly stars: ReleaseRow['stars'];
}

/** What the tag `latest` stands for: what was said, otherwise the highest stable version, otherwise the highest. */
export async function findLatest({
  tags,
  releases,
}: Pick<Packument, 'tags' | 'releases'>): Promise<string | undefined> {
  const said = tags.get('latest');
  return said !== undefined && releases.has(said) ? said : highest(releases.keys());
}

/** All tags with what they point to, of which something is there. */
export function tagsOf({ tags, releases, latest }: Packument): Readonly<Record<string, string>> {
  const given = [...tags].filter(([tag, version]) => tag !== 'latest' && releases.has(version));
  return Object.fromEntries([...(latest === undefined ? [] : [['latest', latest]]), ...given]);
}

async function highest(versions: Iterable<string>): Promise<string | undefined> {
  const found = new HighestVersion();
  const spell = new Spell();
  for (const version of versions) {
    found.see(version);
    if (spell.isOver) await spell.rest();
  }
  return found.version;
}

/** Builds the document of the rows that changed since the previous one, and of that. */
export async function buildPackument(
  source: DocumentSource,
  name: string,
  previous: Packument | undefined,
): Promise<Packument | undefined> {
  const rows = new Map(previous?.rows);
  let seen = previous?.seen ?? 0;
  const changes = source.changes(name, seen);
  const readmes = new ReadmeOfLatest(previous);
  let order = previous ? (lastOf(rows)?.sequence ?? 0) : Number.POSITIVE_INFINITY;
  for await (const found of changes.written) {
    seen = Math.max(seen, found.revision);
    const row = readRow(found);
    if (row) readmes.see(row);
    if (!rows.has(found.version)) order = found.sequence > order ? found.sequence : Number.POSITIVE_INFINITY;
    rows.set(found.version, row && keptRow(found, row));
  }
  const left = await changes.remaining(rows.size);
  if (left) for (const version of rows.keys()) if (!left.has(version)) rows.delete(version);
  const sorted = order === Number.POSITIVE_INFINITY ? inOrder(rows) : rows;
  return derive(name, sorted, { seen, readmes });
}

function keptRow({ path, sequence }: PackageVersion, row: ReleaseRow): Row {
  const release: Release = {
    version: row.version,
    path,
    full: row.full,
    short: row.short,
    dist: row.dist,
    time: new Date(row.publishedAt).toISOString(),
    deprecated: row.deprecated,
    attested: row.attested,
    integrity: row.integrity,
  };
  const { tags, changedAt, maintainers, stars } = row;
  return { sequence, release, publishedAt: row.publishedAt, tags, changedAt, maintainers, stars };
}

function lastOf(rows: ReadonlyMap<string, Row | undefined>): Row | undefined {
  let last: Row | undefined;
  for (const row of rows.values()) if (row && (!last || row.sequence > last.sequence)) last = row;
  return last;
}

/** In the order of creation, whatever the order in which changes were seen. */
function inOrder(rows: ReadonlyMap<string, Row | undefined>): Map<string, Row | undefined> {
  return new Map([...rows].sort(([, a], [, b]) => (a?.sequence ?? 0) - (b?.sequence ?? 0)));
}

async function derive(
  name: string,
  rows: ReadonlyMap<string, Row | undefined>,
  { seen, readmes }: { readonly seen: number; readonly readmes: ReadmeOfLatest },
): Promise<Packument | undefined> {
  const spell = new Spell();
  const releases = new Map<string, Release>();
  const tags = new Map<string, { at: number; version: string }>();
  let [created, modified] = [Number.POSITIVE_INFINITY, 0];
  let maintainers: Said<readonly unknown[]> | undefined;
  const stars = new Set<string>();
  for (const row of rows.values()) {
    if (spell.isOver) await spell.rest();
    if (!row) continue;
    const { release } = row;
    const { version } = release;
    const rival = releases.get(version);
    // A tarball may lie at several paths: the one where it belongs is the version, otherwise the first.
    if (!rival || (rival.path !== tarballPath(name, version) && release.path === tarballPath(name, version))) {
      releases.set(version, release);
    }
    for (const tag in row.tags) {
      const at = row.tags[tag] as number;
      if (at >= (tags.get(tag)?.at ?? 0)) tags.set(tag, { at, version });
    }
    created = Math.min(created, row.publishedAt);
    modified = Math.max(modified, row.changedAt);
    maintainers = later(maintainers, row.maintainers);
    for (const user of row.stars ?? []) stars.add(user);
  }
  if (releases.size === 0) return undefined;
  const given = new Map([...tags].map(([tag, { version }]) => [tag, version]));
  const latest = await findLatest({ tags: given, releases });
  return {
    name,
    releases,
    tags: given,
    latest,
    created: new Date(created).toISOString(),
    modified: new Date(modified).toISOString(),
    maintainers: maintainers?.value ?? [],
    stars,
    readme: readmes.of(latest),
    own: true,
    rev: `${seen}-${releases.size}`,
    rows,
    seen,
  };
}

function later<T>(a: Said<T> | undefined, b: Said<T> | undefined): Said<T> | undefined {
  if (!a || !b) return a ?? b;
  return b.at >= a.at ? b : a;
}

/** Follows which version will be the latest, so that of all the readmes two at most are kept. */
class ReadmeOfLatest {
  #previous: Packument['readme'];
  #tagged: { readonly at: number; readonly readme: Packument['readme'] } | undefined;
  readonly #highest = new HighestVersion();
  #highestReadme: Packument['readme'];

  constructor(previous: Packument | undefined) {
    this.#previous = previous?.readme;
  }

  see(row: ReleaseRow): void {
    const { version, readme, readmeFilename = 'README.md' } = row;
    const found = readme === undefined ? undefined : { of: version, text: readme, fileName: readmeFilename };
    const at = row.tags['latest'];
    if (at !== undefined && at >= (this.#tagged?.at ?? 0)) this.#tagged = { at, readme: found };
    if (this.#highest.see(version)) this.#highestReadme = found;
  }

  of(latest: string | undefined): Packument['readme'] {
    return [this.#tagged?.readme, this.#highestReadme, this.#previous].find((readme) => readme?.of === latest);
  }
}
