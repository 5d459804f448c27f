/** Documents of a package made of others: those of several repositories together, and what somebody may have of one. */
import type { RepoPath } from '../../core/ids.ts';
import { Spell } from '../../lib/spell.ts';
import { HighestVersion } from './names.ts';
import { findLatest, type Packument, type Release } from './packument.ts';

/** The versions of all, each as the first document has it that names it. */
export async function mergePackuments(docs: readonly Packument[]): Promise<Packument> {
  const [first] = docs;
  if (!first) throw new Error('there is nothing to merge');
  if (docs.length === 1) return first;
  const releases = new Map<string, Release>();
  const tags = new Map<string, string>();
  const spell = new Spell();
  for (const doc of docs) {
    for (const [version, release] of doc.releases) {
      if (!releases.has(version)) releases.set(version, release);
      if (spell.isOver) await spell.rest();
    }
    for (const [tag, version] of doc.tags) if (!tags.has(tag)) tags.set(tag, version);
  }
  // What was published here is the latest, whatever an upstream calls so; among upstreams the highest is.
  const own = docs.find((doc) => doc.own);
  const latest = own ? own.latest : highest(docs.map((doc) => doc.latest));
  if (latest !== undefined) tags.set('latest', latest);
  const stars = new Set(docs.flatMap((doc) => [...doc.stars]));
  return {
    name: first.name,
    releases,
    tags,
    latest,
    created: extreme(
      docs.map(({ created }) => created),
      -1,
    ),
    modified: extreme(
      docs.map(({ modified }) => modified),
      1,
    ),
    maintainers: docs.find(({ maintainers }) => maintainers.length > 0)?.maintainers ?? [],
    stars,
    readme: docs.map(({ readme }) => readme).find((readme) => readme?.of === latest),
    own: own !== undefined,
    rev: docs.map(({ rev }) => rev).join('.'),
  };
}

function highest(versions: readonly (string | undefined)[]): string | undefined {
  const found = new HighestVersion();
  for (const version of versions) if (version !== undefined) found.see(version);
  return found.version;
}

function extreme(times: readonly (string | undefined)[], sign: 1 | -1): string | undefined {
  const known = times.filter((time) => time !== undefined).sort();
  return sign < 0 ? known[0] : known.at(-1);
}

/** Without the versions whose tarballs lie where nobody may have them. */
export async function filterPackument(
  doc: Packument,
  accepts: (path: RepoPath) => boolean,
): Promise<Packument | undefined> {
  const releases = new Map<string, Release>();
  const spell = new Spell();
  for (const [version, release] of doc.releases) {
    if (accepts(release.path)) releases.set(version, release);
    if (spell.isOver) await spell.rest();
  }
  if (releases.size === doc.releases.size) return doc;
  if (releases.size === 0) return undefined;
  const { rows: _, seen: __, ...rest } = doc;
  const readme = doc.readme && releases.has(doc.readme.of) ? doc.readme : undefined;
  const tags = new Map([...doc.tags].filter(([, version]) => releases.has(version)));
  return { ...rest, releases, tags, latest: await findLatest({ tags, releases }), readme };
}
