/** The document of a package: all its versions and what the tags point to. */
import { setImmediate as turn } from 'node:timers/promises';
import type { DocumentSource } from '../../core/document.ts';
import type { RepoPath } from '../../core/ids.ts';
import type { PackageVersion } from '../../core/repository.ts';
import { compareVersions, isPrerelease, tarballPath } from './names.ts';
import { type ReleaseRow, readRow, type Said } from './release.ts';

/** So many rows are some milliseconds of work. */
const MANY = 1000;

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
  readonly created: string | undefined;
  readonly modified: string | undefined;
  readonly maintainers: readonly unknown[];
  readonly users: Readonly<Record<string, unknown>>;
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
  readonly tags: ReleaseRow['tags'];
  readonly changedAt: number;
  readonly maintainers: ReleaseRow['maintainers'];
  readonly users: ReleaseRow['users'];
}

/** What the tag `latest` stands for: what was said, otherwise the highest stable version, otherwise the highest. */
export function latestOf({ tags, releases }: Pick<Packument, 'tags' | 'releases'>): string | undefined {
  const said = tags.get('latest');
  return said !== undefined && releases.has(said) ? said : highest(releases.keys());
}

/** All tags with what they point to, of which something is there. */
export function tagsOf(doc: Pick<Packument, 'tags' | 'releases'>): Readonly<Record<string, string>> {
  const latest = latestOf(doc);
  const given = [...doc.tags].filter(([tag, version]) => tag !== 'latest' && doc.releases.has(version));
  return Object.fromEntries([...(latest === undefined ? [] : [['latest', latest]]), ...given]);
}

function highest(versions: Iterable<string>): string | undefined {
  let best: string | undefined;
  for (const version of versions) {
    if (best === undefined) best = version;
    else if (isPrerelease(best) !== isPrerelease(version)) best = isPrerelease(best) ? version : best;
    else if (compareVersions(version, best) > 0) best = version;
  }
  return best;
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
  if (rows.size > MANY) await turn();
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
  const { tags, changedAt, maintainers, users } = row;
  return { sequence, release, tags, changedAt, maintainers, users };
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

function derive(
  name: string,
  rows: ReadonlyMap<string, Row | undefined>,
  { seen, readmes }: { readonly seen: number; readonly readmes: ReadmeOfLatest },
): Packument | undefined {
  const releases = new Map<string, Release>();
  const tags = new Map<string, { at: number; version: string }>();
  let [created, modified] = [Number.POSITIVE_INFINITY, 0];
  let maintainers: Said<readonly unknown[]> | undefined;
  let users: Said<Readonly<Record<string, unknown>>> | undefined;
  for (const row of rows.values()) {
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
    created = Math.min(created, Date.parse(release.time ?? ''));
    modified = Math.max(modified, row.changedAt);
    maintainers = later(maintainers, row.maintainers);
    users = later(users, row.users);
  }
  if (releases.size === 0) return undefined;
  const given = new Map([...tags].map(([tag, { version }]) => [tag, version]));
  const latest = latestOf({ tags: given, releases });
  return {
    name,
    releases,
    tags: given,
    created: new Date(created).toISOString(),
    modified: new Date(modified).toISOString(),
    maintainers: maintainers?.value ?? [],
    users: users?.value ?? {},
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
  #highest: { readonly version: string; readonly readme: Packument['readme'] } | undefined;

  constructor(previous: Packument | undefined) {
    this.#previous = previous?.readme;
  }

  see(row: ReleaseRow): void {
    const { version, readme, readmeFilename = 'README.md' } = row;
    const found = readme === undefined ? undefined : { of: version, text: readme, fileName: readmeFilename };
    const at = row.tags['latest'];
    if (at !== undefined && at >= (this.#tagged?.at ?? 0)) this.#tagged = { at, readme: found };
    if (highest([this.#highest?.version ?? version, version]) === version) {
      this.#highest = { version, readme: found };
    }
  }

  of(latest: string | undefined): Packument['readme'] {
    return [this.#tagged?.readme, this.#highest?.readme, this.#previous].find((readme) => readme?.of === latest);
  }
}

/** The versions of all, each as the first document has it that names it. */
export function mergePackuments(docs: readonly Packument[]): Packument {
  const [first] = docs;
  if (!first) throw new Error('there is nothing to merge');
  if (docs.length === 1) return first;
  const releases = new Map<string, Release>();
  const tags = new Map<string, string>();
  for (const doc of docs) {
    for (const [version, release] of doc.releases) if (!releases.has(version)) releases.set(version, release);
    for (const [tag, version] of doc.tags) if (!tags.has(tag)) tags.set(tag, version);
  }
  // What was published here is the latest, whatever an upstream calls so; among upstreams the highest is.
  const own = docs.find((doc) => doc.own);
  const latest = own ? latestOf(own) : highest(docs.flatMap((doc) => latestOf(doc) ?? []));
  if (latest !== undefined) tags.set('latest', latest);
  const users = Object.fromEntries(docs.toReversed().flatMap((doc) => Object.entries(doc.users)));
  return {
    name: first.name,
    releases,
    tags,
    created: extreme(
      docs.map(({ created }) => created),
      -1,
    ),
    modified: extreme(
      docs.map(({ modified }) => modified),
      1,
    ),
    maintainers: docs.find(({ maintainers }) => maintainers.length > 0)?.maintainers ?? [],
    users,
    readme: docs.map(({ readme }) => readme).find((readme) => readme?.of === latest),
    own: own !== undefined,
    rev: docs.map(({ rev }) => rev).join('.'),
  };
}

function extreme(times: readonly (string | undefined)[], sign: 1 | -1): string | undefined {
  const known = times.filter((time) => time !== undefined).sort();
  return sign < 0 ? known[0] : known.at(-1);
}

/** Without the versions whose tarballs lie where nobody may have them. */
export function filterPackument(doc: Packument, accepts: (path: RepoPath) => boolean): Packument | undefined {
  const kept = [...doc.releases].filter(([, { path }]) => accepts(path));
  if (kept.length === doc.releases.size) return doc;
  if (kept.length === 0) return undefined;
  const releases = new Map(kept);
  const { rows: _, seen: __, ...rest } = doc;
  const readme = doc.readme && releases.has(doc.readme.of) ? doc.readme : undefined;
  return { ...rest, releases, tags: new Map([...doc.tags].filter(([, version]) => releases.has(version))), readme };
}
