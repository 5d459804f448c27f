/** Reads files again that were put by other ways, such as before their repository was one of Maven. */
import { AppError, isAppError } from '../../core/errors.ts';
import { clip, parseRepoPath, type RepoPath } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply, ServiceContext } from '../../core/protocol.ts';
import { visitFiles } from '../../core/read-again.ts';
import type { Deposit, Repository } from '../../core/repository.ts';
import { ingest } from './ingest.ts';
import { rowOf } from './paths.ts';

/**
 * `POST calculateMetadata/{repo}/{path}`: metadata is made when it is asked for, so only files of which nothing is known
 * have to be read. Answers when all are; other requests come between.
 */
export async function recalculate(request: ProtocolRequest, { repo }: Pick<ProtocolContext, 'repo'>): Promise<Reply> {
  const folder = parseRepoPath(request.params['path'] ?? '');
  await visitFiles(request, repo, { folder, manages: folder, what: 'metadata' }, async (path) => {
    await readAgain(repo, path);
    return true;
  });
  return { status: 200, text: 'OK' };
}

/** The same for a whole repository. */
export async function recalculateAll(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const key = request.params['key'] ?? '';
  const repo = await context.repository(key);
  if (repo) return recalculate(request, { repo });
  if (!context.authenticated) throw new AppError('unauthenticated', 'Authentication is required.');
  throw new AppError('not_found', `There is no Maven repository "${clip(key)}", or you may not use it.`);
}

async function readAgain(repo: Repository, path: RepoPath): Promise<void> {
  const row = rowOf(path);
  if (!row || (await repo.version(row.package, row.version))) return;
  const asset = await repo.get(path);
  if (!asset) return;
  const { content, sha256, mediaType, declared } = asset;
  const settings = { ...repo.settings, suppressPomConsistencyChecks: true };
  const { version, properties } = await ingest({ path, content, checksums: await asset.checksums(), settings });
  if (!version) return;
  const known = { ...(await repo.properties(path)), ...properties };
  const deposit: Deposit = {
    content: asset,
    mediaType,
    declared,
    package: version.package,
    properties: known,
    version,
  };
  try {
    await repo.change(path, async (tree) => {
      // Whoever put other bytes meanwhile had them read.
      if ((await tree.get(path))?.sha256 === sha256) await tree.put(new Map([[path, deposit]]));
    });
  } catch (error) {
    // The file went meanwhile.
    if (!isAppError(error, 'not_found')) throw error;
  }
}
