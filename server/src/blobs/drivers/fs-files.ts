/** What the file driver does with files and their folders, and how it tells of trouble. */
import { constants } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { AppError } from '../../core/errors.ts';

/** Puts the names in a folder on disk. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Removes a file; one that is gone already is no error. */
export async function removeFile(path: string): Promise<void> {
  try {
    await rm(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw troubleOf(error);
  }
}

/** The system's name for what went wrong, such as ENOENT; '' for other errors. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

const TROUBLE = new Set(['EIO', 'EROFS', 'EMFILE', 'ENFILE', 'EACCES', 'EPERM', 'ENOENT', 'ELOOP', 'ESTALE', 'ENODEV']);

/** What a client may be told of a failed file operation; other errors are bugs and stay what they are. */
export function troubleOf(error: unknown): unknown {
  const code = codeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new AppError(
      'quota_exceeded',
      'The disk of the server is full. Free some space and try again.',
      {},
      { cause: error },
    );
  }
  if (TROUBLE.has(code)) {
    return new AppError('unavailable', 'The storage of the server has trouble. Try again later.', {}, { cause: error });
  }
  return error;
}
