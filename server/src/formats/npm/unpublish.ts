/** Removal of versions and packages. What was removed is noted: its number is not given to something else. */
import { Readable } from 'node:stream';
import { AppError } from '../../core/errors.ts';
import { clip, parseRepoPath, type RepoPath } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Deposit, Repository, Tree } from '../../core/repository.ts';
import { heldPackument } from './edit.ts';
import { attestationsPath, isVersion, otherSpelling, parseName, readTarballPath, removalPath } from './names.ts';
import type { Release } from './packument.ts';
import { rowsOf } from './tags.ts';

/** So many versions are removed in one transaction. */
const BATCH = 50;

/** Removes one tarball, or the package where only its name is given. */
export async function deleteRevision(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const file = (request.params['file'] ?? '').replace(/^(@[^/%]+)%2F/i, '$1/');
  if (/\/-\/|\.tgz$/.test(file)) return deleteTarball(repo, parseRepoPath(file));
  const name = parseName(file);
  const doc = await heldPackument(repo, name);
  const rev = request.params['rev'] ?? '';
  if (/^\d+-\d+$/.test(rev) && rev !== doc.rev) {
    throw new AppError('conflict', `"${name}" was changed meanwhile, so it was not removed. Look at it and try again.`);
  }
  const releases = [...doc.releases.values()];
  for (const { path } of releases) repo.require('delete', path);
  for (let from = 0; from < releases.length; from += BATCH) {
    const batch = releases.slice(from, from + BATCH);
    await removing(repo, name, batch, async (tree) => {
      for (const release of batch) await removeRelease(tree, name, release);
      return true;
    });
  }
  return { status: 200, json: { ok: true, id: name } };
}

async function deleteTarball(repo: Repository, asked: RepoPath): Promise<Reply> {
  const other = otherSpelling(asked);
  const path = (await repo.get(asked)) || !other || !(await repo.get(other)) ? asked : other;
  repo.require('delete', path);
  const read = readTarballPath(path);
  const removed = await removing(repo, read?.name ?? path, read ? [read] : [], async (tree) => {
    if (read) await tree.delete(attestationsPath(read.name, read.version));
    return tree.delete(path);
  });
  if (!removed) throw new AppError('not_found', `There is no tarball "${clip(asked)}" here.`);
  return { status: 200, json: { ok: true } };
}

/** Removes what `work` does, and notes the versions if it did. Whoever may not put anything here leaves no note. */
async function removing(
  repo: Repository,
  name: string,
  versions: readonly { readonly version: string }[],
  work: (tree: Tree) => Promise<boolean>,
): Promise<boolean> {
  const notes = versions
    .filter(({ version }) => isVersion(version))
    .map(({ version }) => removalPath(name, version))
    .filter((path) => repo.allows('deploy', path));
  const [first] = notes;
  const landed = first && (await repo.store(first, Readable.from([Buffer.from('{}')])));
  try {
    return await repo.change(name, async (tree) => {
      if (!(await work(tree))) return false;
      if (!landed) return true;
      const files = new Map<RepoPath, Deposit>();
      for (const path of notes) {
        if (await tree.get(path)) continue;
        files.set(path, { content: landed, mediaType: 'application/json', package: name });
      }
      if (files.size > 0) await tree.put(files);
      return true;
    });
  } finally {
    await landed?.discard();
  }
}

async function removeRelease(tree: Tree, name: string, { version, path, attested }: Release): Promise<void> {
  if (attested !== undefined && isVersion(version)) await tree.delete(attestationsPath(name, version));
  for (const row of await rowsOf(tree, name, version)) await tree.delete(row.path);
  await tree.delete(path);
}
