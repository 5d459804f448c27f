/** Plain paths: `/artifactory/<repository>/<path>` with matrix parameters, as every package type is reachable. */
import { AppError } from '../../core/errors.ts';
import { parseRepoPath, type RepoPath } from '../../core/ids.ts';
import { decodeSegment } from '../../core/target.ts';

export interface PlainPath {
  readonly path: RepoPath;
  /** Matrix parameters as they were sent, from all segments; never part of the path. */
  readonly parameters: readonly string[];
  /** The address ended with a slash: a folder is meant. */
  readonly folder: boolean;
}

/** Takes the raw segments below the repository's key. Parameters are split off before anything is decoded. */
export function parsePlainPath(segments: readonly string[]): PlainPath {
  const parameters: string[] = [];
  const names = segments.map((segment) => {
    const [name = '', ...own] = segment.split(';');
    parameters.push(...own.filter((parameter) => parameter !== ''));
    const decoded = decodeSegment(name);
    if (decoded.includes('%2F')) {
      throw new AppError('invalid', 'The path holds an encoded slash. Send "/" where folders are separated.');
    }
    return decoded;
  });
  const folder = names.at(-1) === '' && names.length > 0;
  const path = parseRepoPath((folder ? names.slice(0, -1) : names).join('/'));
  return { path, parameters, folder };
}
