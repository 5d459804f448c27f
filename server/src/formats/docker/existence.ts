/** Whether something is there: what clients ask before they push, and before they pull. */
import { isAppError, UNREACHED } from '../../core/errors.ts';
import type { RepoPath } from '../../core/ids.ts';
import type { ProtocolRequest } from '../../core/protocol.ts';
import type { Arriving, Asset, Repository, Wanted } from '../../core/repository.ts';

/**
 * What is wanted, as GET or HEAD asks for it. A client that asks by HEAD whether it may spare itself a push gives up
 * when it is told of trouble (containerd, crane and skopeo do), although whoever may deploy at `path` needs no upstream
 * for it: what could not be asked for is not there for them. Who pulls is told of the trouble, since the tokens of
 * those clients then hold no right to push.
 */
export async function serveAsked(
  { method }: ProtocolRequest,
  repo: Repository,
  wanted: Wanted,
  path: RepoPath,
): Promise<Asset | Arriving | undefined> {
  if (method !== 'HEAD') return repo.serve(wanted, 'bytes');
  try {
    return await repo.serve(wanted, 'headers');
  } catch (error) {
    const wasUnreached = isAppError(error) && error.detail[UNREACHED] === true;
    if (wasUnreached && repo.deploysTo !== undefined && repo.allows('deploy', path)) return undefined;
    throw error;
  }
}
