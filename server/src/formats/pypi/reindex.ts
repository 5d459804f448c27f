/** Reads all distributions of a repository again, for indexes that are to know what was put by other ways. */
import { AppError } from '../../core/errors.ts';
import { type RepoPath, ROOT } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Deposit, Repository } from '../../core/repository.ts';
import { distributionAt, distributionOf, PROVENANCE_ENDING, SIGNATURE_ENDING } from './names.ts';
import { ingest, type ReleaseFile, YANKED } from './release.ts';

const PAGE = 200;
/** Says why a file stands in no index, where it was put by plain path. */
const UNINDEXED = 'entrepot.unindexed';

/** Answers when all is read; other requests come between. */
export async function reindex(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  if (repo.rclass !== 'local' && repo.rclass !== 'federated') {
    throw new AppError('not_supported', `"${repo.key}" is not a local repository, so it has no index of its own.`);
  }
  repo.require('manage', ROOT);
  let count = 0;
  for (let after: RepoPath | undefined; ; ) {
    const { found, next } = await repo.descendants(ROOT, { limit: PAGE, ...(after !== undefined && { after }) });
    for (const { path, folder } of found) {
      request.signal.throwIfAborted();
      if (!folder && (await readAgain(repo, path))) count += 1;
    }
    if (next === undefined) break;
    after = next;
  }
  return { status: 200, text: `The index of ${repo.key} was made again of ${count} files.\n` };
}

async function readAgain(repo: Repository, path: RepoPath): Promise<boolean> {
  if (distributionOf(path) !== undefined || !distributionAt(path)) return false;
  const asset = await repo.get(path);
  if (!asset) return false;
  const { content, sha256 } = asset;
  const found = await ingest({ path, content, checksums: await asset.checksums(), settings: repo.settings });
  if (!found.version) return false;
  const known = await repo.properties(path);
  const version = { ...found.version, metadata: await marked(repo, path, found.version.metadata as ReleaseFile) };
  const deposit: Deposit = {
    content: asset,
    mediaType: asset.mediaType,
    package: version.package,
    properties: { ...known, ...found.properties, [UNINDEXED]: [] },
    version,
  };
  return repo.change(version.package, async (tree) => {
    if ((await tree.get(path))?.sha256 !== sha256) return false;
    const rows = await tree.versionsOf(version.package, sha256, PAGE);
    if (rows.some((row) => row.path === path)) await tree.describe(path, version.metadata, found.properties);
    else await tree.put(new Map([[path, deposit]]));
    return true;
  });
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
