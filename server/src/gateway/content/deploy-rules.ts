/** What a deploy may name and say, and in which words it is refused. */
import { AppError, isAppError } from '../../core/errors.ts';
import { clip, joinPath, type RepoPath } from '../../core/ids.ts';
import { nameOf } from '../../core/principal.ts';
import type { StoreOptions } from '../../core/repository.ts';
import { claimedChecksums } from './claimed-checksums.ts';
import type { ContentRequest } from './content-request.ts';

/** How addresses of a file's properties end, in whatever case. */
const PROPERTIES = /:properties$/i;

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

/** What the received bytes must be: what the client says, unless the repository takes no heed of it. */
export function expectedOf({ repo, exchange }: ContentRequest): NonNullable<StoreOptions['expected']> {
  const claimed = claimedChecksums(exchange.request.headers);
  return repo.settings['checksumPolicyType'] === 'server-generated-checksums' ? {} : claimed;
}

/** Has a mismatch refused in the words that clients know. */
export async function verified<T>(request: ContentRequest, work: () => Promise<T>): Promise<T> {
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
