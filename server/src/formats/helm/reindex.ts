/** Reads all charts of a repository again, for an index that is to know what was put by other ways. */
import { AppError } from '../../core/errors.ts';
import { parseRepoPath, type RepoPath, ROOT } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Deposit, Repository } from '../../core/repository.ts';
import { type ChartRelease, ingest } from './ingest.ts';
import { isArchive } from './names.ts';

const PAGE = 200;
/** Says why a file stands in no index. */
const UNINDEXED = 'entrepot.unindexed';

/** Answers when all below the path is read; other requests come between. */
export async function reindex(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  if (repo.rclass !== 'local' && repo.rclass !== 'federated') {
    throw new AppError('not_supported', `"${repo.key}" is not a local repository, so it has no index of its own.`);
  }
  const folder = parseRepoPath(request.params['path'] ?? '');
  repo.require('manage', ROOT);
  let count = 0;
  for (let after: RepoPath | undefined; ; ) {
    const { found, next } = await repo.descendants(folder, { limit: PAGE, ...(after !== undefined && { after }) });
    for (const node of found) {
      request.signal.throwIfAborted();
      if (!node.folder && isArchive(node.path) && (await readAgain(repo, node.path))) count += 1;
    }
    if (next === undefined) break;
    after = next;
  }
  return { status: 200, text: `The index of ${repo.key} was made again of ${count} charts.\n` };
}

async function readAgain(repo: Repository, path: RepoPath): Promise<boolean> {
  const asset = await repo.get(path);
  if (!asset) return false;
  const { content, sha256, mediaType } = asset;
  // What lies here already is not refused by rules for what is put.
  const found = await ingest({ path, content, checksums: await asset.checksums(), settings: {} });
  if (!found.version) return false;
  const { package: name, version, metadata } = found.version;
  const known = await repo.properties(path);
  const deposit: Deposit = {
    content: asset,
    mediaType: found.mediaType ?? mediaType,
    package: name,
    properties: { ...known, ...found.properties, [UNINDEXED]: [] },
    version: { package: name, version, metadata },
  };
  return repo.change(name, async (tree) => {
    if ((await tree.get(path))?.sha256 !== sha256) return false;
    const rows = await tree.versionsOf(name, sha256, PAGE);
    const row = rows.find((each) => each.path === path);
    if (row) await tree.describe(path, metadata satisfies unknown as ChartRelease, found.properties);
    else await tree.put(new Map([[path, deposit]]));
    return true;
  });
}
