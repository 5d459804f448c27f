/** Naming bytes that are stored already. */
import { AppError, isAppError } from '../../core/errors.ts';
import type { Ingested } from '../../core/format.ts';
import type { Properties, RepoPath } from '../../core/ids.ts';
import type { Asset, Deposit, Landed, Tree, TreeNode, UploadedBytes } from '../../core/repository.ts';
import type { ContentRequest } from './content-request.ts';
import { explained } from './deploy-rules.ts';
import { ingest } from './ingest.ts';
import { mediaTypeOf } from './media-types.ts';
import { stampsOf } from './stamps.ts';

/** So often another name is made for a file whose name was taken meanwhile. */
const MAX_NAMES = 20;

/** Names the bytes at the path of the request, with the properties if the caller may set any. */
export async function deposit(
  request: ContentRequest,
  content: Landed | Asset | UploadedBytes,
  properties: Properties,
  declared: NonNullable<Deposit['declared']>,
): Promise<TreeNode> {
  const { repo, plain, format } = request;
  for (let attempt = 1; ; attempt++) {
    const { children, settings } = repo;
    const settled = await format?.settle?.(plain.path, { settings, children, stored: false });
    try {
      return await depositAt(request, settled ?? { path: plain.path, made: false }, { content, properties, declared });
    } catch (error) {
      // Somebody else was given the same name: another one is made then.
      if (!isAppError(error) || error.detail['taken'] !== true || attempt === MAX_NAMES) throw error;
    }
  }
}

async function depositAt(
  request: ContentRequest,
  { path, made }: { readonly path: RepoPath; readonly made: boolean },
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
      if (made && (await tree.get(path))) throw new AppError('conflict', 'The name is taken.', { taken: true });
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
