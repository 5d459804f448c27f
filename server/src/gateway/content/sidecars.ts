/** Checksum files: computed when read, verified when put, never stored. */
import { readAll } from '../../core/bodies.ts';
import { AppError, isAppError } from '../../core/errors.ts';
import type { PathKind } from '../../core/format.ts';
import { clip, type RepoPath } from '../../core/ids.ts';
import type { AssetReply, Reply } from '../../core/protocol.ts';
import type { Asset } from '../../core/repository.ts';
import { type ContentRequest, uriOf } from './content-request.ts';

type Sidecar = Extract<PathKind, { kind: 'checksum' }>;

const MEDIA_TYPE = 'application/x-checksum';
const MAX_BYTES = 1024;

/** The bare value; asked for its head, all that verifies the file it is of. */
export async function sidecarReply(
  method: string,
  of: Asset,
  algorithm: Sidecar['algorithm'],
  head: AssetReply,
): Promise<Reply> {
  const value = (await of.checksums())[algorithm];
  const headers = { 'Content-Type': MEDIA_TYPE, 'Last-Modified': of.modifiedAt.toUTCString() };
  if (method !== 'HEAD') return { status: 200, bytes: Buffer.from(value), headers };
  return { ...head, mediaType: MEDIA_TYPE };
}

/** Clients that deploy checksum files mean to have them verified. */
export async function putSidecar(request: ContentRequest, { of, algorithm }: Sidecar): Promise<Reply> {
  const { repo, exchange, plain } = request;
  const received = await readChecksum(request, of);
  // One that was computed late is computed now, where the caller may read it.
  if (repo.allows('read', of)) await (await repo.get(of))?.checksums();
  const { actual, isFolder } = await repo.change(of, async (tree) => ({
    actual: await tree.declare(of, algorithm, received),
    isFolder: (await tree.get(of))?.folder === true,
  }));
  if (isFolder) throw new AppError('conflict', `"${clip(of, 300)}" is a folder, which has no checksum.`);
  if (actual === undefined) {
    throw new AppError('not_found', `Target file to set checksum on doesn't exist: ${repo.key}:${clip(of, 300)}`);
  }
  if (actual !== received) {
    const shown = repo.allows('read', of) ? actual : 'another';
    throw new AppError(
      'conflict',
      `Checksum error for '${clip(plain.path, 300)}': received '${clip(received)}' but actual is '${shown}'`,
    );
  }
  return { status: 201, headers: { Location: uriOf({ exchange, repo }, plain.path) } };
}

async function readChecksum({ exchange }: ContentRequest, of: RepoPath): Promise<string> {
  try {
    const body = await readAll(exchange.body(), { limit: MAX_BYTES, what: 'checksum file' });
    return body.toString('utf8').trim().split(/\s/, 1)[0]?.toLowerCase() ?? '';
  } catch (error) {
    if (!isAppError(error, 'too_large')) throw error;
    throw new AppError('conflict', `The body is too long to be a checksum of "${clip(of, 300)}".`);
  }
}
