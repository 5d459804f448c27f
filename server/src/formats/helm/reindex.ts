/** Reads all charts of a repository again, for an index that is to know what was put by other ways. */
import { parseRepoPath, type RepoPath, ROOT } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import { enterIndex, visitFiles } from '../../core/read-again.ts';
import type { Repository } from '../../core/repository.ts';
import { ingest } from './ingest.ts';
import { isArchive } from './names.ts';

/** Answers when all below the path is read; other requests come between. */
export async function reindex(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const folder = parseRepoPath(request.params['path'] ?? '');
  const count = await visitFiles(request, repo, { folder, manages: ROOT, what: 'index' }, async (path) =>
    isArchive(path) ? readAgain(repo, path) : false,
  );
  return { status: 200, text: `The index of ${repo.key} was made again of ${count} charts.\n` };
}

async function readAgain(repo: Repository, path: RepoPath): Promise<boolean> {
  const asset = await repo.get(path);
  if (!asset) return false;
  const { content } = asset;
  // What lies here already is not refused by rules for what is put.
  const found = await ingest({ path, content, checksums: await asset.checksums(), settings: {} });
  if (!found.version) return false;
  const { version } = found;
  return enterIndex(repo, asset, await repo.properties(path), { ...found, version });
}
