/** Addresses of the storage API and of those like it: a repository and a path in it. */
import { AppError } from '../../core/errors.ts';
import { clip, encodePath, joinPath, parseRepoPath, type RepoPath } from '../../core/ids.ts';
import type { Folder, Repository } from '../../core/repository.ts';
import { decodeSegment } from '../../core/target.ts';
import type { RepositoryDirectory } from '../../repositories/directory.ts';
import type { ApiRequest } from '../route.ts';

/** One place in a repository, with its addresses. */
export interface Place {
  readonly repo: Repository;
  readonly path: RepoPath;
  /** In this API. */
  readonly uri: string;
  /** Where its bytes are. */
  readonly downloadUri: string;
  /** What folders list, where that is more than is held. */
  readonly listing?: Repository;
}

/** Words before the repository in the addresses of most resources, such as `artifactory/api/storage`. */
const WORDS = 3;

/** What a request names, as its caller may see it; of a remote repository what it holds, under the key of that. */
export function placeOf(repositories: RepositoryDirectory, request: ApiRequest<unknown>): Place {
  const key = request.params['repo'] ?? '';
  const cache = repositories.cacheKeyOf(key);
  const place = placeIn(repositories, request, cache ?? key);
  const listing = cache && repositories.get(key, request.caller.principal);
  return listing?.settings['listRemoteFolderItems'] === true ? { ...place, listing } : place;
}

/** The same for a change, which has to name what holds the item. */
export function changedPlaceOf(repositories: RepositoryDirectory, request: ApiRequest<unknown>): Place {
  const key = request.params['repo'] ?? '';
  const place = placeIn(repositories, request, key);
  // Through a virtual repository that is changed which is deployed to through it.
  if (place.repo.rclass === 'virtual' && place.repo.deploysTo !== undefined) {
    return { ...place, repo: repositories.target(place.repo, request.caller.principal) };
  }
  if (place.repo.rclass === 'virtual') throw noLocal(key);
  if (place.repo.rclass !== 'remote' || !repositories.cacheKeyOf(key)) return place;
  throw noLocal(key);
}

function noLocal(key: string): AppError {
  return new AppError('invalid', `Repository '${clip(key)}' is not a local repository`);
}

function placeIn(repositories: RepositoryDirectory, request: ApiRequest<unknown>, key: string): Place {
  const { caller, root, exchange } = request;
  const repo = repositories.get(key, caller.principal);
  if (!repo) {
    if (!caller.authenticated) throw new AppError('unauthenticated', 'Authentication is required');
    if (repositories.describe(key, caller.principal)) {
      throw noLocal(key);
    }
    throw new AppError('not_found', `There is no repository "${clip(key)}", or you may not use it.`);
  }
  exchange.note.repo = repo.key;
  const path = pathOf(request);
  const address = encodePath(joinPath(repo.key, path));
  return { repo, path, uri: `${root}/api/storage/${address}`, downloadUri: `${root}/${address}` };
}

/** The path of a request below its repository; `words` is how many words stand before that. */
export function pathOf({ exchange }: Pick<ApiRequest<unknown>, 'exchange'>, words = WORDS): RepoPath {
  return parsePath(exchange.target.segments.slice(words + 1));
}

/** Takes the raw segments below the repository's key; a slash at the end and matrix parameters mean nothing here. */
function parsePath(segments: readonly string[]): RepoPath {
  const names = segments.map((segment) => decodeSegment(segment.split(';', 1)[0] ?? ''));
  if (names.some((name) => name.includes('%2F'))) {
    throw new AppError('invalid', 'The path holds an encoded slash. Send "/" where folders are separated.');
  }
  return parseRepoPath((names.at(-1) === '' ? names.slice(0, -1) : names).join('/'));
}

/** `/repo/path` of a query parameter: decoded once by whoever read the query. */
export function parseTarget(text: string): { readonly repo: string; readonly path: RepoPath } {
  const trimmed = text.replace(/^\//, '').replace(/\/$/, '');
  const [repo = '', ...rest] = trimmed.split('/');
  if (repo === '') throw new AppError('invalid', `"${clip(text)}" names no repository: send /repository/path.`);
  return { repo, path: parseRepoPath(rest.join('/')) };
}

export async function requireFolder({ repo, path, listing }: Place): Promise<Folder> {
  const folder = (await repo.folder(path)) ?? (await listing?.folder(path));
  if (!folder) throw new AppError('not_found', 'Unable to find item');
  return folder;
}
