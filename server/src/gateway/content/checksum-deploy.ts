/** Deploying a file by what its bytes are, where the server has them already. */
import { AppError, isAppError } from '../../core/errors.ts';
import type { Properties } from '../../core/ids.ts';
import type { Reply } from '../../core/protocol.ts';
import type { Asset } from '../../core/repository.ts';
import { claimedChecksums } from './claimed-checksums.ts';
import type { ContentRequest } from './content-request.ts';
import { isOn } from './deploy-rules.ts';
import { deposit } from './deposit.ts';
import { fileCreated } from './item-created.ts';

/**
 * Links the path to the bytes of a file that the caller may read. Whatever is wrong, the answer is the same: the client
 * sends the bytes then, and learns nothing of files it may not read.
 */
export async function deployByChecksum(request: ContentRequest, properties: Properties): Promise<Reply> {
  const { headers } = request.exchange.request;
  if (isOn(headers['x-explode-archive']) || isOn(headers['x-explode-archive-atomic'])) {
    throw new AppError('invalid', 'An archive cannot be deployed by checksum and unpacked in one request.');
  }
  const token = headers['x-checksum-deploy-token'];
  const found = typeof token === 'string' ? await request.uploaded(token) : await holderOf(request);
  if (!found) throw checksumDeployFailed();
  const { sha256, sha1, md5 } = claimsOf(request);
  const checksums = 'checksums' in found ? await found.checksums() : found;
  // What the client says besides must be true as well.
  if (sha256 !== undefined && sha256 !== checksums.sha256) throw checksumDeployFailed();
  if ((sha1 !== undefined && sha1 !== checksums.sha1) || (md5 !== undefined && md5 !== checksums.md5))
    throw checksumDeployFailed();
  try {
    const node = await deposit(request, found, properties, { sha1, md5 });
    return fileCreated(request, node, { checksums, declared: { sha1, md5 } });
  } catch (error) {
    if (isAppError(error) && error.detail['vanished'] === true) throw checksumDeployFailed();
    throw error;
  }
}

async function holderOf(request: ContentRequest): Promise<Asset | undefined> {
  const { sha256, sha1 } = claimsOf(request);
  return request.findHolder({ sha256, sha1 });
}

function claimsOf({ exchange }: ContentRequest): ReturnType<typeof claimedChecksums> {
  try {
    return claimedChecksums(exchange.request.headers);
  } catch (error) {
    if (isAppError(error, 'invalid')) throw checksumDeployFailed();
    throw error;
  }
}

/** The same whatever was wrong. */
export function checksumDeployFailed(): AppError {
  return new AppError(
    'not_found',
    'Checksum deploy failed. No existing file with these checksums; send the file itself.',
  );
}
