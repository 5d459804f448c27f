/** Reading and removing blobs (distribution-spec, "Pulling blobs", "Deleting Blobs"). */
import { isAppError } from '../../core/errors.ts';
import { joinPath, renderDigest } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Asset, Repository } from '../../core/repository.ts';
import { ociError } from './errors.ts';
import { serveAsked } from './existence.ts';
import { parseName, requireDigest, UPLOADS, waitingBlob } from './names.ts';

/** A blob that waits for its manifest is kept this long from its last sign of use. */
export interface LeaseRules {
  readonly graceMs: number;
}

export async function getBlob(request: ProtocolRequest, { repo }: ProtocolContext, rules: LeaseRules): Promise<Reply> {
  const name = parseName(request.params['name'] ?? '', false);
  const digest = requireDigest(request.params['digest'] ?? '');
  const wanted = { package: name, digest, lead: false };
  const asset = await serveAsked(request, repo, wanted, joinPath(name, UPLOADS));
  if (!asset) throw unknownBlob(renderDigest(digest));
  if (request.method === 'HEAD' && !('arriving' in asset) && !(await keepForPush(repo, name, asset, rules))) {
    throw unknownBlob(renderDigest(digest));
  }
  return {
    asset,
    mediaType: 'application/octet-stream',
    etag: renderDigest(digest),
    ranges: true,
    redirectable: true,
    headers: {
      'Docker-Content-Digest': renderDigest(digest),
      'Cache-Control': 'private, max-age=31536000, immutable',
      'X-Artifactory-Filename': `sha256__${asset.sha256 ?? digest.hex}`,
    },
  };
}

/**
 * A client that will push asks first what it need not upload, and counts on the answer: the blob must not be collected
 * before its manifest comes, even if the manifest that holds it now is deleted meanwhile. One write per blob and half
 * a grace period. False when the blob went away before it could be kept.
 */
async function keepForPush(repo: Repository, name: string, asset: Asset, rules: LeaseRules): Promise<boolean> {
  const path = waitingBlob(name, asset.sha256);
  if (repo.deploysTo === undefined || !repo.allows('deploy', path) || !repo.allows('read', path)) return true;
  const waiting = asset.path === path ? asset : await repo.get(path);
  // What waits in another repository is of no use for a push to this one.
  const isHere = waiting?.repo === repo.deploysTo;
  if (waiting && isHere && Date.now() - waiting.modifiedAt.getTime() < rules.graceMs / 2) return true;
  try {
    await repo.change(name, (tree) =>
      tree.renew(path, { content: asset, mediaType: 'application/octet-stream', package: name }),
    );
    return true;
  } catch (error) {
    // Reading goes on where nothing may be written; whoever pushes will be refused there.
    if (isAppError(error)) return error.code !== 'conflict' || error.detail['readOnly'] === true;
    throw error;
  }
}

/** Unlinks a blob from an image. One that a manifest of the image names stays. */
export async function deleteBlob(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const name = parseName(request.params['name'] ?? '', true);
  const digest = requireDigest(request.params['digest'] ?? '');
  await repo.change(name, async (tree) => {
    const sha256 = await tree.resolve(digest);
    if (!sha256) throw unknownBlob(renderDigest(digest));
    const removed = await tree.delete(waitingBlob(name, sha256));
    const rest = await tree.held(name, [sha256]);
    if (rest.has(sha256)) {
      throw ociError(
        'UNSUPPORTED',
        `"${renderDigest(digest)}" is part of an image in this repository. Delete the manifests that name it first.`,
      );
    }
    if (!removed) throw unknownBlob(renderDigest(digest));
  });
  return { status: 202, headers: { 'Content-Length': '0' } };
}

export function unknownBlob(digest: string) {
  return ociError('BLOB_UNKNOWN', `The blob "${digest}" is not in this repository.`, { detail: { digest } });
}
