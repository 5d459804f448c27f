/** Putting files and folders. */
import { AppError, isAppError } from '../../core/errors.ts';
import { clip, joinPath, type Properties, type RepoPath } from '../../core/ids.ts';
import { nameOf } from '../../core/principal.ts';
import type { Reply } from '../../core/protocol.ts';
import type { Asset, Deposit, Landed, TreeNode } from '../../core/repository.ts';
import { deployByChecksum } from './checksum-deploy.ts';
import { claimedChecksums } from './claimed-checksums.ts';
import type { ContentRequest } from './content-request.ts';
import { fileCreated, folderCreated } from './item-created.ts';
import { propertiesOf } from './matrix.ts';
import { mediaTypeOf } from './media-types.ts';
import { putSidecar } from './sidecars.ts';
import { stampsOf } from './stamps.ts';

/** How addresses of a file's properties end, in whatever case. */
const PROPERTIES = /:properties$/i;

/** Answers a PUT. */
export async function put(request: ContentRequest): Promise<Reply> {
  const { repo, format, plain, exchange } = request;
  const { path } = plain;
  if (path === '') throw new AppError('invalid', 'The address names a repository but no file in it.');
  repo.require('deploy', path);
  requireTaken(request, path);
  const properties = propertiesOf(plain.parameters);
  if (plain.folder) return putFolder(request, properties);
  const kind = format?.classify(path);
  if (kind?.kind === 'checksum') return putSidecar(request, kind);
  if (isOn(exchange.request.headers['x-checksum-deploy'])) return deployByChecksum(request, properties);
  return putFile(request, properties);
}

/** Refuses paths that no file of this repository can have, and repositories that take no plain files. */
export function requireTaken({ repo, format }: ContentRequest, path: RepoPath): void {
  if (PROPERTIES.test(path)) {
    throw new AppError('conflict', `"${clip(path)}" means the properties of a file, so no file can have that name.`);
  }
  if (format?.classify(path).kind === 'reserved') {
    throw new AppError('invalid', `"${clip(path)}" lies under a name that the server keeps for itself.`);
  }
  if (format?.plainPaths) return;
  throw new AppError(
    'invalid',
    `Files cannot be put into the ${repo.packageType} repository "${repo.key}" by path. Use a ${repo.packageType} client.`,
  );
}

export function isOn(header: string | string[] | undefined): boolean {
  return typeof header === 'string' && header.trim().toLowerCase() === 'true';
}

async function putFile(request: ContentRequest, properties: Properties): Promise<Reply> {
  const { repo, exchange, plain } = request;
  const claimed = claimedChecksums(exchange.request.headers);
  const { sha1, md5 } = claimed;
  const landed = await verified(request, () =>
    repo.store(plain.path, exchange.body(), {
      expected: trustsClients(request) ? claimed : {},
      allChecksums: true,
      signal: exchange.signal,
    }),
  );
  try {
    const node = await deposit(request, landed, properties, { sha1, md5 });
    const checksums = { sha256: landed.sha256, sha1: landed.sha1 ?? '', md5: landed.md5 ?? '' };
    return fileCreated(request, node, { checksums, declared: { sha1, md5 } });
  } finally {
    await landed.discard();
  }
}

/** Names the bytes at the path of the request, with the properties if the caller may set any. */
export async function deposit(
  request: ContentRequest,
  content: Landed | Asset,
  properties: Properties,
  declared: NonNullable<Deposit['declared']>,
): Promise<TreeNode> {
  const { repo, plain, caller, exchange } = request;
  const { path } = plain;
  const stamps = stampsOf(exchange.request.headers, caller.principal);
  const file: Deposit = {
    content,
    mediaType: mediaTypeOf(path),
    properties: repo.allows('annotate', path) ? properties : {},
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

async function putFolder(request: ContentRequest, properties: Properties): Promise<Reply> {
  const { repo, plain } = request;
  const { path } = plain;
  const annotates = Object.keys(properties).length > 0 && repo.allows('annotate', path);
  const node = await repo.change(path, async (tree) => {
    await tree.makeFolder(path);
    if (annotates) await tree.annotate(path, { set: properties });
    return required(await tree.get(path));
  });
  return folderCreated(request, node);
}

function required(node: TreeNode | undefined): TreeNode {
  if (!node) throw new Error('what a change has put is not there');
  return node;
}

/** Whether what clients say of their bytes is held against them. */
function trustsClients({ repo }: ContentRequest): boolean {
  return repo.settings['checksumPolicyType'] !== 'server-generated-checksums';
}

/** Has a mismatch refused in the words that clients know. */
async function verified<T>(request: ContentRequest, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const mismatch = isAppError(error, 'invalid') && error.detail['mismatch'];
    if (!mismatch) throw error;
    const { algorithm, expected, actual } = mismatch as Readonly<Record<'algorithm' | 'expected' | 'actual', string>>;
    const what = `${request.repo.key}:${clip(request.plain.path, 300)}`;
    throw new AppError(
      'conflict',
      `Checksum policy 'LocalRepoChecksumPolicy: CLIENT' rejected the artifact '${what}'. Checksums info: [${algorithm}: the client sent '${expected}', the bytes have '${actual}']. Nothing was stored; send the file again.`,
    );
  }
}

/** Has overwriting without the right to delete refused in the words that clients know. */
export async function explained<T>({ repo, caller }: ContentRequest, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isAppError(error, 'forbidden') || error.detail['action'] !== 'delete') throw error;
    const what = clip(joinPath(repo.key, path).replace('/', ':'), 300);
    const message = `Not enough permissions to delete/overwrite artifact '${what}' (user: '${nameOf(caller.principal)}' needs DELETE permission).`;
    throw new AppError('forbidden', message, error.detail, { cause: error });
  }
}
