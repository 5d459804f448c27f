/** The trash can: restoring, cleaning, emptying. */
import { AppError, isAppError } from '../core/errors.ts';
import { clip, joinPath } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import { TRASH_KEY } from '../core/system-repositories.ts';
import { type DeletionDeps, deleteItem } from '../repositories/deletion.ts';
import { restoreItem } from '../repositories/trash.ts';
import { type ApiRequest, type Route, route } from './route.ts';
import { parseTarget, pathOf } from './storage/place.ts';

export interface TrashDeps extends DeletionDeps {
  /** Has all that is in the trash can at this moment deleted for good. */
  emptyTrash(): Promise<void>;
}

const TRASH = 'artifactory/api/trash';
/** Words before the repository in these addresses. */
const WORDS = 4;

export function trashRoutes(deps: TrashDeps): readonly Route[] {
  const below = (verb: string) => [`${TRASH}/${verb}/{repo}`, `${TRASH}/${verb}/{repo}/{path...}`];
  return [
    route({
      methods: ['POST'],
      pattern: `${TRASH}/empty`,
      right: 'admin',
      async handle(): Promise<Reply> {
        await deps.emptyTrash();
        return { status: 202, text: 'Trash can is being emptied' };
      },
    }),
    ...below('restore').map((pattern) =>
      route({ methods: ['POST'], pattern, right: 'user', handle: (request) => restore(deps, request) }),
    ),
    ...below('clean').map((pattern) =>
      route({ methods: ['DELETE'], pattern, right: 'admin', handle: (request) => clean(deps, request) }),
    ),
  ];
}

function trashPath(request: ApiRequest) {
  return joinPath(request.params['repo'] ?? '', pathOf(request, WORDS));
}

async function restore({ operations }: TrashDeps, request: ApiRequest): Promise<Reply> {
  const to = request.query.get('to');
  const { refused, problems } = await restoreItem(operations, {
    principal: request.caller.principal,
    path: trashPath(request),
    ...(to !== null && { to: parseTarget(to) }),
  });
  const [problem] = problems;
  if (problem) {
    const more = refused > 1 ? ` ${refused - 1} more items could not be restored either.` : '';
    throw new AppError(problem.code, `${problem.message}${more}`);
  }
  return { status: 202, text: 'Successfully restored trash items' };
}

async function clean(deps: TrashDeps, request: ApiRequest): Promise<Reply> {
  const path = trashPath(request);
  try {
    await deleteItem(deps, { principal: request.caller.principal, repo: TRASH_KEY, path });
  } catch (error) {
    if (!isAppError(error, 'not_found')) throw error;
    throw new AppError('not_found', `The trash can does not hold "${clip(path, 300)}".`);
  }
  return { status: 204 };
}
