/** Releases that another names, such as the images of an index: a copy of the one is of no use without the others. */
import { readAll } from '../core/bodies.ts';
import { joinPath, type RepoPath, renderDigest, type Sha256, splitPath } from '../core/ids.ts';
import { resolveDigest } from '../db/blobs.ts';
import { getFile } from '../db/files.ts';
import { listLeadsIn, listVersionsOf, listVersionsWith } from '../db/package-versions.ts';
import type { TreeOperations } from './operations.ts';
import { type Transfer, targetOf } from './transfer.ts';

const MAX_LEAD_BYTES = 64 * 1024 * 1024;
const MAX_COMPANIONS = 1000;

/** What has to go along with the transfer of a folder because the release in it names it and the target lacks it. */
export async function planCompanions(
  { operations }: { readonly operations: TreeOperations },
  plan: Transfer,
): Promise<readonly Transfer[]> {
  const { format } = plan;
  if (!format?.companions || !format.references || plan.from.path === '') return [];
  const planned: Transfer[] = [];
  const seen = new Set<string>();
  const queue: Transfer[] = [plan];
  for (let next = queue.shift(); next && planned.length < MAX_COMPANIONS; next = queue.shift()) {
    for (const companion of await companionsOf(operations, plan, next)) {
      if (seen.has(companion.to.path)) continue;
      seen.add(companion.to.path);
      planned.push(companion);
      queue.push(companion);
    }
  }
  return planned;
}

async function companionsOf(operations: TreeOperations, plan: Transfer, holder: Transfer): Promise<Transfer[]> {
  const { database } = operations.deps;
  const { format, from, to, mode } = plan;
  const found: Transfer[] = [];
  for (const lead of await database.read((db) => listLeadsIn(db, from.repoId, holder.from.path))) {
    const target = format?.place?.(targetOf(holder, lead.path))?.package;
    if (target === undefined || !from.access.allows('read', lead.path)) continue;
    for (const sha256 of await referencesOf(operations, plan, lead.path)) {
      const [there] = await database.read((db) => listVersionsOf(db, to.repoId, target, sha256, 1));
      const [here] = await database.read((db) => listVersionsOf(db, from.repoId, lead.package, sha256, 1));
      if (there || !here || !format?.companions) continue;
      const folder = splitPath(here.path).parent;
      const goes = mode === 'move' && (await isOnlyNamedBy(operations, plan, { ...lead, sha256, folder }));
      found.push({
        ...plan,
        from: { ...from, path: folder },
        to: { ...to, path: format.companions.folder(target, sha256) },
        mode: goes ? 'move' : 'copy',
      });
    }
  }
  return found;
}

async function referencesOf({ deps }: TreeOperations, { from, format }: Transfer, path: RepoPath): Promise<Sha256[]> {
  const file = await deps.database.read((db) => getFile(db, from.repoId, path));
  if (!file || !format?.references) return [];
  const bytes = await readAll(await deps.blobs.content(file).open(), { limit: MAX_LEAD_BYTES, what: 'manifest' });
  const found: Sha256[] = [];
  for (const digest of format.references(bytes, file.mediaType)) {
    const sha256 = await deps.database.read((db) => resolveDigest(db, digest));
    if (sha256) found.push(sha256);
  }
  return found;
}

/** Whether nothing else at the source needs the release: no other release names it, and it has no name of its own. */
async function isOnlyNamedBy(
  { deps }: TreeOperations,
  { from, format }: Transfer,
  release: { readonly package: string; readonly path: RepoPath; readonly sha256: Sha256; readonly folder: RepoPath },
): Promise<boolean> {
  if (!format?.companions) return false;
  if (release.folder !== format.companions.folder(release.package, release.sha256)) return false;
  if (!from.access.allows('delete', joinPath(release.folder, '-'))) return false;
  const value = renderDigest({ algorithm: 'sha256', hex: release.sha256 });
  const property = { key: format.companions.property, value };
  const naming = await deps.database.read((db) =>
    listVersionsWith(db, from.repoId, release.package, property, { limit: 2 }),
  );
  return naming.every(({ path }) => path === release.path);
}
