/** Naming bytes that are stored already. */
import type { Properties } from '../../core/ids.ts';
import type { Asset, Deposit, Landed, TreeNode, UploadedBytes } from '../../core/repository.ts';
import type { ContentRequest } from './content-request.ts';
import { explained } from './deploy-rules.ts';
import { ingest } from './ingest.ts';
import { mediaTypeOf } from './media-types.ts';
import { stampsOf } from './stamps.ts';

/** Names the bytes at the path of the request, with the properties if the caller may set any. */
export async function deposit(
  request: ContentRequest,
  content: Landed | Asset | UploadedBytes,
  properties: Properties,
  declared: NonNullable<Deposit['declared']>,
): Promise<TreeNode> {
  const { repo, plain, caller, exchange } = request;
  const { path } = plain;
  const known = await ingest(request, path, content, properties);
  const stamps = stampsOf(exchange.request.headers, caller.principal);
  const file: Deposit = {
    content,
    mediaType: known.mediaType ?? mediaTypeOf(path),
    properties: { ...(repo.allows('annotate', path) && properties), ...known.properties },
    ...(known.version && { package: known.version.package, version: known.version }),
    declared,
    ...(stamps && { stamps }),
  };
  return explained(request, path, () =>
    repo.change(path, async (tree) => {
      await tree.put(new Map([[path, file]]));
      return required(await tree.get(path));
    }),
  );
}

/** What a change has just put. */
export function required(node: TreeNode | undefined): TreeNode {
  if (!node) throw new Error('what a change has put is not there');
  return node;
}
