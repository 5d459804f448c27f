/** How remote repositories do, whether their upstreams answer, and having them forget what they know of those. */
import { AppError } from '../core/errors.ts';
import type { Format } from '../core/format.ts';
import { clip, type RepoPath, ROOT } from '../core/ids.ts';
import { isAdmin, nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { forgetFreshness, type InspectionDeps, statusOf, testConnection } from '../repositories/remote/inspection.ts';
import { type ApiRequest, READ, type Route, route } from './route.ts';
import { pathOf } from './storage/place.ts';

export interface RemoteApiDeps extends InspectionDeps {
  readonly repositories: RepositoryDirectory;
  readonly formats: readonly Format[];
}

const REMOTE = 'artifactory/api/v1/remotes/{key}';

export function remoteRoutes(deps: RemoteApiDeps): readonly Route[] {
  return [
    route({
      methods: READ,
      pattern: `${REMOTE}/status`,
      right: 'admin',
      handle: async ({ params }) => fresh(await statusOf(deps, params['key'] ?? '')),
    }),
    route({
      methods: ['POST'],
      pattern: `${REMOTE}/test`,
      right: 'admin',
      handle: async ({ params }) => fresh({ outcome: await testConnection(deps, params['key'] ?? '') }),
    }),
    route({
      methods: ['POST'],
      pattern: 'artifactory/api/repositories/{key}/zapCache',
      right: 'admin',
      handle: (request) => zap(deps, request, ROOT),
    }),
    ...['artifactory/api/zap/{key}', 'artifactory/api/zap/{key}/{path...}'].map((pattern) =>
      route({
        methods: ['POST'],
        pattern,
        right: 'user',
        handle: async (request) => {
          const path = pathOf(request);
          requireManager(deps, request, path);
          return zap(deps, request, path);
        },
      }),
    ),
  ];
}

/** Who is no administrator has to manage what is to be asked for again, and learns nothing of other repositories. */
function requireManager({ repositories }: RemoteApiDeps, { params, caller }: ApiRequest, path: RepoPath): void {
  const { principal } = caller;
  if (isAdmin(principal)) return;
  const key = params['key'] ?? '';
  const cache = repositories.get(repositories.cacheKeyOf(key) ?? key, principal);
  if (!cache) throw new AppError('not_found', `There is no repository "${clip(key)}", or you may not use it.`);
  cache.require('manage', path);
}

async function zap(deps: RemoteApiDeps, { params, caller }: ApiRequest, path: RepoPath): Promise<Reply> {
  const key = params['key'] ?? '';
  await forgetFreshness(deps, key, {
    path,
    by: nameOf(caller.principal),
    // Formats with rules of their own remember things by other names than paths.
    hasPaths: (packageType) =>
      deps.formats.find(({ packageTypes }) => packageTypes.includes(packageType))?.remote === undefined,
  });
  return fresh({ message: `What is known of the upstream of "${key}" was forgotten.` });
}

function fresh(json: unknown): Reply {
  return { status: 200, json, headers: { 'Cache-Control': 'no-store' } };
}
