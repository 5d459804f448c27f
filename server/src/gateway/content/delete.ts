/** Deleting files and folders. */
import { AppError } from '../../core/errors.ts';
import { clip, joinPath } from '../../core/ids.ts';
import type { Reply } from '../../core/protocol.ts';
import type { ContentRequest } from './content-request.ts';

/** Answers a DELETE. */
export async function remove({ repo, format, plain }: ContentRequest): Promise<Reply> {
  const { path } = plain;
  if (path === '') throw new AppError('forbidden', 'A whole repository cannot be deleted by its content address.');
  repo.require('delete', path);
  if (!format?.plainPaths && !(await repo.isFolder(path))) {
    throw new AppError(
      'conflict',
      `"${clip(path, 300)}" is part of an image. Delete its folder, or the image with a ${repo.packageType} client.`,
    );
  }
  const removed = await repo.change(path, (tree) => tree.delete(path));
  if (!removed) {
    const what = clip(joinPath(repo.key, path), 300);
    throw new AppError('not_found', `Artifact deletion error: Item ${what} does not exist`);
  }
  return { status: 204 };
}
