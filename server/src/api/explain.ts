/**
 * Why a request was refused or found nothing, asked by its id; and what would decide whether somebody may do
 * something. Addresses of our own: Artifactory has nothing like it.
 */
import type { PermissionIndex } from '../auth/permission-index.ts';
import { parseActions } from '../auth/permissions.ts';
import type { Principals } from '../auth/principals.ts';
import { AppError } from '../core/errors.ts';
import { clip, parseRepoKey, parseRepoPath, type RepoKey } from '../core/ids.ts';
import { isAdmin, nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { RefusalLog } from '../events/refusal-log.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { type ApiRequest, READ, type Route, route } from './route.ts';

export interface ExplainDeps {
  readonly refusals: RefusalLog;
  readonly permissions: PermissionIndex;
  readonly principals: Principals;
  readonly repositories: RepositoryDirectory;
}

const ALL = 'artifactory/api/explain';

export function explainRoutes(deps: ExplainDeps): readonly Route[] {
  return [
    route({ methods: READ, pattern: ALL, right: 'user', handle: (request) => explainRight(deps, request) }),
    route({ methods: READ, pattern: `${ALL}/{id}`, right: 'user', handle: (request) => explainRequest(deps, request) }),
  ];
}

/** Everything for an administrator; others learn of their own requests, and not of what they may not know. */
async function explainRequest({ refusals }: ExplainDeps, { params, caller }: ApiRequest): Promise<Reply> {
  const id = params['id'] ?? '';
  const found = await refusals.find(id);
  const admin = isAdmin(caller.principal);
  if (!found || (!admin && found.principal !== nameOf(caller.principal))) {
    throw new AppError(
      'not_found',
      `No refused request "${clip(id)}" is known. Ids are in the header X-Request-Id of the answer and are kept for a week.`,
    );
  }
  const { requestId, at, principal, method, address, repo, status, message, steps } = found;
  return {
    status: 200,
    json: {
      requestId,
      at: new Date(at).toISOString(),
      principal,
      method,
      address,
      ...(repo !== undefined && { repo }),
      status,
      message,
      steps: steps.filter((step) => admin || step.forCaller).map((step) => step.text),
    },
    headers: { 'Cache-Control': 'no-store' },
  };
}

/** `?path=<repository>/<path>&action=read`, for oneself or, asked by an administrator, for `&user=`. */
async function explainRight(deps: ExplainDeps, { query, caller }: ApiRequest): Promise<Reply> {
  const [key = '', ...rest] = (query.get('path') ?? '').split('/');
  if (key === '') {
    throw new AppError('invalid', 'Name what is asked for: "?path=<repository>/<path>&action=read&user=<name>".');
  }
  const [repo, path] = [parseRepoKey(key), parseRepoPath(rest.join('/'))];
  const [action = 'read'] = parseActions([query.get('action') ?? 'read']);
  const user = query.get('user');
  const admin = isAdmin(caller.principal);
  if (user !== null && !admin) throw new AppError('forbidden', 'Only an administrator may ask about others.');
  const principal = user === null ? caller.principal : await deps.principals.named(user);
  const { permissions, repositories } = deps;
  const bound = repositories.get(repo, principal);
  return {
    status: 200,
    json: {
      principal: nameOf(principal),
      action,
      repo,
      path,
      allowed: bound?.allows(action, path) ?? false,
      // Who is not an administrator learns what it may do, and not by whose decision.
      ...(admin && { steps: stepsOf(deps, repo, permissions.explain(principal, action, repo, path)) }),
    },
    headers: { 'Cache-Control': 'no-store' },
  };
}

function stepsOf({ repositories }: ExplainDeps, repo: RepoKey, steps: readonly string[]): readonly string[] {
  return repositories.has(repo) ? steps : [`There is no repository "${repo}".`, ...steps];
}
