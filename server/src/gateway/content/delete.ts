/** Deleting files and folders. */
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import type { Reply } from '../../core/protocol.ts';
import type { ContentRequest } from './content-request.ts';

/** Answers a DELETE; that of a repository's root takes all that it holds. */
export async function remove({ repo, format, plain, deleteItem }: ContentRequest): Promise<Reply> {
  const { path } = plain;
  repo.require(path === '' ? 'manage' : 'delete', path);
  if (!format?.plainPaths && !(await repo.isFolder(path))) {
    throw new AppError(
      'conflict',
      `"${clip(path, 300)}" is part of an image. Delete its folder, or the image with a ${repo.packageType} client.`,
    );
  }
  await deleteItem(path);
  return { status: 204 };
}
