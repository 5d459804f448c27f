/** Finds tarballs that stand in no index, such as copies and what was put before, and has them stand in it. */
import { UNINDEXED } from '../../core/format.ts';
import { type RepoPath, ROOT } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import { visitFiles } from '../../core/read-again.ts';
import type { Asset, Repository, Tree } from '../../core/repository.ts';
import { ingest } from './ingest.ts';
import type { ReleaseRow } from './release.ts';

const ROWS = 1000;

/** Answers when all is read; other requests come between. */
export async function reindex(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  request.body.resume();
  const count = await visitFiles(request, repo, { folder: ROOT, manages: ROOT, what: 'index' }, async (path) =>
    path.endsWith('.tgz') ? readAgain(repo, path) : false,
  );
  return { status: 200, text: `The index of ${repo.key} is up to date: ${count} files were added to it.\n` };
}

async function readAgain(repo: Repository, path: RepoPath): Promise<boolean> {
  const asset = await repo.get(path);
  if (!asset) return false;
  const { content, createdAt } = asset;
  const known = await repo.properties(path);
  const read = await ingest({
    path,
    content,
    checksums: await asset.checksums(),
    settings: repo.settings,
    properties: known,
  });
  if (!read.version) return false;
  const metadata = { ...(read.version.metadata as ReleaseRow), publishedAt: createdAt.getTime() };
  const version = { ...read.version, metadata };
  const properties = { ...known, ...read.properties, [UNINDEXED]: [] };
  return repo.change(version.package, (tree) => index(tree, asset, { version, properties }));
}

/** Gives the file a row of its own; what has its row is left as it is. */
async function index(
  tree: Tree,
  asset: Asset,
  {
    version,
    properties,
  }: {
    readonly version: { readonly package: string; readonly version: string; readonly metadata: ReleaseRow };
    readonly properties: Readonly<Record<string, readonly string[]>>;
  },
): Promise<boolean> {
  const { path, sha256, mediaType } = asset;
  if ((await tree.get(path))?.sha256 !== sha256) return false;
  const rows = await tree.versionsOf(version.package, sha256, ROWS);
  const own = rows.find((row) => row.path === path);
  if (own?.version === version.version) return false;
  // A copy took the name along from where it came.
  const holder = await tree.version(version.package, version.version);
  if (holder) await tree.relabel(holder.path, `${version.metadata.version}/${holder.path}`, {});
  if (own) await tree.relabel(path, version.version, {});
  else await tree.put(new Map([[path, { content: asset, mediaType, package: version.package, properties, version }]]));
  return true;
}
