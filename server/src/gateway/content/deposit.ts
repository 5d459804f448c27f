/** Naming bytes that are stored already. */
import { AppError, isAppError } from '../../core/errors.ts';
import type { Ingested } from '../../core/format.ts';
import { joinPath, type Properties, type RepoPath, splitPath } from '../../core/ids.ts';
import type { Asset, Deposit, Landed, Tree, TreeNode, UploadedBytes } from '../../core/repository.ts';
import type { ContentRequest } from './content-request.ts';
import { explained } from './deploy-rules.ts';
import { ingest } from './ingest.ts';
import { mediaTypeOf } from './media-types.ts';
import { stampsOf } from './stamps.ts';

/** So often another name is made for a file whose name was taken meanwhile. */
const MAX_NAMES = 20;

/** Where a file is kept, and whether the name was made for it. */
export interface Settled {
  readonly path: RepoPath;
  readonly made: boolean;
}

/** Names the bytes at the path of the request, with the properties if the caller may set any. */
export async function deposit(
  request: ContentRequest,
  content: Landed | Asset | UploadedBytes,
  properties: Properties,
  declared: NonNullable<Deposit['declared']>,
): Promise<TreeNode> {
  return withFreeNames(request, async () => {
    const settled = await settle(request, request.plain.path);
    return depositAt(request, settled, { content, properties, declared });
  });
}

/** Where a file that is put at the path is kept, beside others that are put in the same change. */
export async function settle(
  { repo, format }: Pick<ContentRequest, 'repo' | 'format'>,
  path: RepoPath,
  together: readonly RepoPath[] = [],
): Promise<Settled> {
  const { children, settings } = repo;
  return (await format?.settle?.(path, { settings, children, stored: false, together })) ?? { path, made: false };
}

/**
 * Does it again where somebody else was given a name that was made for it: another one is made then. Those of one folder
 * do so one after the other, or many at once would take names away from each other again and again.
 */
export async function withFreeNames<T>(
  { repo, plain, naming }: Pick<ContentRequest, 'repo' | 'plain' | 'naming'>,
  put: () => Promise<T>,
): Promise<T> {
  const isTaken = (error: unknown) => isAppError(error) && error.detail['taken'] === true;
  try {
    return await put();
  } catch (error) {
    if (!isTaken(error)) throw error;
  }
  return naming.take(joinPath(repo.key, splitPath(plain.path).parent), async () => {
    for (let attempt = 2; ; attempt++) {
      try {
        return await put();
      } catch (error) {
        if (!isTaken(error) || attempt === MAX_NAMES) throw error;
      }
    }
  });
}

/** Refuses a name that was made for a file and that another one has by now. */
export async function requireFree(tree: Tree, { path, made }: Settled): Promise<void> {
  if (made && (await tree.get(path))) throw new AppError('conflict', 'The name is taken.', { taken: true });
}

async function depositAt(
  request: ContentRequest,
  settled: Settled,
  {
    content,
    properties,
    declared,
  }: Pick<Deposit, 'content' | 'declared'> & {
    readonly content: Landed | Asset | UploadedBytes;
    readonly properties: Properties;
  },
): Promise<TreeNode> {
  const { repo, caller, exchange } = request;
  const { path } = settled;
  const known = await ingest(request, path, content, properties);
  const stamps = stampsOf(exchange.request.headers, caller.principal);
  const file: Deposit = {
    content,
    mediaType: known.mediaType ?? mediaTypeOf(path),
    properties: { ...(repo.allows('annotate', path) && properties), ...known.properties },
    ...(known.version && { package: known.version.package, version: known.version }),
    ...(declared && { declared }),
    ...(stamps && { stamps }),
  };
  return explained(request, path, () =>
    repo.change(known.version?.sole ? known.version.package : path, async (tree) => {
      await requireFree(tree, settled);
      await requireSole(tree, path, known);
      await tree.put(new Map([[path, file]]));
      return required(await tree.get(path));
    }),
  );
}

/** Refuses another file of a release that may have one only. */
export async function requireSole(tree: Tree, path: RepoPath, { version }: Ingested): Promise<void> {
  if (!version?.sole) return;
  const known = await tree.version(version.package, version.version);
  if (known && known.path !== path) throw new AppError('forbidden', version.sole(known.path));
}

/** What a change has just put. */
export function required(node: TreeNode | undefined): TreeNode {
  if (!node) throw new Error('what a change has put is not there');
  return node;
}
