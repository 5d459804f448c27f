/** Reads all distributions of a repository again, for indexes that are to know what was put by other ways. */
import { type RepoPath, ROOT } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import { enterIndex, visitFiles } from '../../core/read-again.ts';
import type { Repository } from '../../core/repository.ts';
import { distributionAt, distributionOf, PROVENANCE_ENDING, SIGNATURE_ENDING } from './names.ts';
import { ingest, type ReleaseFile, YANKED } from './release.ts';

/** Answers when all is read; other requests come between. */
export async function reindex(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const count = await visitFiles(request, repo, { folder: ROOT, manages: ROOT, what: 'index' }, (path) =>
    readAgain(repo, path),
  );
  return { status: 200, text: `The index of ${repo.key} was made again of ${count} files.\n` };
}

async function readAgain(repo: Repository, path: RepoPath): Promise<boolean> {
  if (distributionOf(path) !== undefined || !distributionAt(path)) return false;
  const asset = await repo.get(path);
  if (!asset) return false;
  const { content } = asset;
  const found = await ingest({ path, content, checksums: await asset.checksums(), settings: repo.settings });
  if (!found.version) return false;
  const known = await repo.properties(path);
  const version = { ...found.version, metadata: await marked(repo, path, found.version.metadata as ReleaseFile) };
  return enterIndex(repo, asset, known, { ...found, version });
}

/** What is said of the file by its properties and by what lies beside it. */
async function marked(repo: Repository, path: RepoPath, release: ReleaseFile): Promise<ReleaseFile> {
  const [yanked] = (await repo.properties(path))[YANKED] ?? [];
  const [signed, attested] = await Promise.all(
    [SIGNATURE_ENDING, PROVENANCE_ENDING].map((ending) => repo.get(`${path}${ending}` as RepoPath)),
  );
  return {
    ...release,
    ...(yanked !== undefined && { yanked: yanked === 'true' ? '' : yanked }),
    ...(signed && { signed: true }),
    ...(attested && { attested: true }),
  };
}
