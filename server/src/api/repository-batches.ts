/** Many repositories at once: the second form of the API, all configurations, and the question which classes there are. */
import { z } from 'zod';
import { AppError, isAppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { REPOSITORY_CLASSES } from '../core/package-types.ts';
import { nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import {
  filterOf,
  newRepository,
  type RepositoryBody,
  type RepositoryDeps,
  repositoryBody,
  requireNoLoop,
  takenAsInvalid,
} from './repositories.ts';
import { shortConfiguration, wholeConfiguration } from './repository-settings.ts';
import { type ApiRequest, bodyRoute, READ, type Route, route } from './route.ts';

const SECOND = 'artifactory/api/v2/repositories';
const BATCH = `${SECOND}/batch`;
const MAX_BATCH = 1000;
const CLASS_NAMES: readonly string[] = [...REPOSITORY_CLASSES, 'distribution', 'release_bundle'];

const batchBody = z.array(repositoryBody).max(MAX_BATCH);

/** These come before the routes of single repositories, whose keys would match as well. */
export function repositoryBatchRoutes(deps: RepositoryDeps): readonly Route[] {
  return [
    route({
      methods: READ,
      pattern: 'artifactory/api/repositories/configurations',
      right: 'admin',
      handle: (request) => configurations(deps, request),
    }),
    route({
      methods: READ,
      pattern: 'artifactory/api/repositories/existence',
      right: 'user',
      handle: (request) => existence(deps, request),
    }),
    route({ methods: READ, pattern: BATCH, right: 'user', handle: (request) => getAll(deps, request) }),
    bodyRoute({
      methods: ['PUT'],
      pattern: BATCH,
      right: 'admin',
      body: batchBody,
      handle: (request) => createAll(deps, request),
    }),
    bodyRoute({
      methods: ['POST'],
      pattern: BATCH,
      right: 'admin',
      body: batchBody,
      handle: (request) => updateAll(deps, request),
    }),
    bodyRoute({
      methods: ['DELETE'],
      pattern: BATCH,
      right: 'admin',
      body: z.array(z.string().max(200)).max(MAX_BATCH),
      handle: (request) => deleteAll(deps, request),
    }),
    route({ methods: READ, pattern: `${SECOND}/{key}`, right: 'user', handle: (request) => get(deps, request) }),
    bodyRoute({
      methods: ['POST'],
      pattern: 'artifactory/api/localgenerated/filter/paths',
      right: 'admin',
      body: z.object({ repoKey: z.string().max(100), pathsInRepo: z.array(z.string().max(4096)).max(100_000) }),
      // Nothing that lies in a repository was made by the server, so all of it is worth a transfer.
      handle: async ({ body }) => ({ status: 200, json: body }),
    }),
  ];
}

async function configurations(deps: RepositoryDeps, { query, caller, root }: ApiRequest): Promise<Reply> {
  const viewer = { ...deps, principal: caller.principal, root };
  const groups: Record<string, unknown[]> = {};
  for (const repository of deps.repositories
    .describeAll(caller.principal)
    .filter(filterOf(query, { rclass: 'repoType' }))) {
    const { type: _type, ...configuration } = shortConfiguration(repository, viewer);
    const group = repository.rclass.toUpperCase();
    groups[group] ??= [];
    groups[group].push({ ...configuration, rclass: repository.rclass });
  }
  return { status: 200, json: groups };
}

async function existence(deps: RepositoryDeps, { query, caller }: ApiRequest): Promise<Reply> {
  const wanted = query.getAll('type').map((type) => type.toLowerCase());
  const odd = wanted.find((type) => !CLASS_NAMES.includes(type));
  if (odd !== undefined) throw new AppError('invalid', `Invalid repository type: ${clip(odd)}`);
  const projectKey = query.get('projectKey') ?? 'default';
  const asked = new URLSearchParams(query.get('projectKey') === null ? {} : { projectKey });
  const matches = deps.repositories
    .describeAll(caller.principal)
    .filter(filterOf(asked, { rclass: 'none' }))
    .filter(({ rclass }) => wanted.length === 0 || wanted.includes(rclass));
  const matchingRepoTypes = REPOSITORY_CLASSES.filter((rclass) => matches.some((match) => match.rclass === rclass)).map(
    (rclass) => rclass.toUpperCase(),
  );
  return { status: 200, json: { exists: matches.length > 0, matchingRepoTypes, projectKey } };
}

async function get(deps: RepositoryDeps, { params, caller, root }: ApiRequest): Promise<Reply> {
  const key = params['key'] ?? '';
  const repository = deps.repositories.describe(key, caller.principal);
  if (!repository) throw new AppError('not_found', `The repository ${clip(key)} was not found`);
  return { status: 200, json: shortConfiguration(repository, { ...deps, principal: caller.principal, root }) };
}

async function getAll(deps: RepositoryDeps, { query, caller, root }: ApiRequest): Promise<Reply> {
  const names = query.getAll('names').filter((name) => name !== '');
  if (names.length === 0) throw new AppError('invalid', 'Repository keys are missing.');
  const viewer = { ...deps, principal: caller.principal, root };
  const found = names.flatMap((name) => deps.repositories.describe(name, caller.principal) ?? []);
  return {
    status: 200,
    json: Object.fromEntries(found.map((repository) => [repository.key, wholeConfiguration(repository, viewer)])),
  };
}

async function createAll(
  deps: RepositoryDeps,
  { body, caller, exchange }: ApiRequest<RepositoryBody[]>,
): Promise<Reply> {
  const requests = body.map((each) => {
    const { key, rclass } = each;
    if (key === undefined || key === '') throw new AppError('invalid', 'Repository key are missing in configuration');
    if (rclass === undefined) throw new AppError('invalid', `The repository "${clip(key)}" has no field "rclass".`);
    requireNoLoop(each, exchange.origin);
    return newRepository(withoutNulls(each), key, rclass);
  });
  try {
    const keys = await deps.administration.createAll(requests, nameOf(caller.principal));
    return { status: 201, text: keys.length === 0 ? '' : `Successfully created repositories: ${keys.join(', ')}\n` };
  } catch (error) {
    throw takenAsInvalid(error);
  }
}

async function updateAll(
  deps: RepositoryDeps,
  { body, caller, exchange }: ApiRequest<RepositoryBody[]>,
): Promise<Reply> {
  const updates = body.map((each) => {
    if (each.key === undefined || each.key === '') {
      throw new AppError('invalid', 'Repository key are missing in configuration');
    }
    requireNoLoop(each, exchange.origin);
    return { key: each.key, settings: withoutNulls(each) };
  });
  try {
    await deps.administration.updateAll(updates, nameOf(caller.principal));
  } catch (error) {
    if (!isAppError(error, 'not_found')) throw error;
    const keys = error.detail['keys'] as readonly string[];
    return {
      status: 404,
      text: `No repositories found for the following keys: ${keys.map((key) => clip(key)).join(', ')}`,
    };
  }
  return { status: 200, text: 'Repositories updated successfully.' };
}

async function deleteAll(deps: RepositoryDeps, { body: keys, caller }: ApiRequest<string[]>): Promise<Reply> {
  if (keys.length === 0) {
    return { status: 400, json: { statusMessage: 'No repository keys were provided for deletion' } };
  }
  const reports = [];
  for (const key of new Set(keys)) reports.push(await deleteOne(deps, key, nameOf(caller.principal)));
  const failed = reports.filter(({ success }) => !success).length;
  return {
    status: failed > 0 ? 207 : 200,
    json: {
      statusMessage:
        failed > 0
          ? `${failed} of ${reports.length} repositories were not deleted`
          : 'Repositories deleted successfully',
      reports,
    },
  };
}

async function deleteOne(deps: RepositoryDeps, key: string, by: string) {
  try {
    await deps.administration.delete(key, by);
  } catch (error) {
    // One that is not there is as good as deleted.
    if (!isAppError(error)) throw error;
    if (error.code !== 'not_found') return { repoKey: clip(key), success: false, message: error.message };
  }
  return { repoKey: clip(key), success: true, message: `Repository ${clip(key)} and its content are removed` };
}

function withoutNulls(body: RepositoryBody): RepositoryBody {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null)) as RepositoryBody;
}
