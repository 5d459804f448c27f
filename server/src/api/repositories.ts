/** Repositories and their settings. */
import { AppError, isAppError } from '../core/errors.ts';
import type { Format } from '../core/format.ts';
import { clip } from '../core/ids.ts';
import { nameOf, type Principal } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { Repository } from '../core/repository.ts';
import type { Administration } from '../repositories/administration.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { parsePatterns } from '../repositories/limits.ts';
import {
  completeSettings,
  displayPackageType,
  type RepositoryBody,
  repositoryBody,
  settingsOf,
} from './repository-settings.ts';
import { type ApiRequest, bodyRoute, READ, type Route, route, typed } from './route.ts';

export interface RepositoryDeps {
  readonly administration: Administration;
  readonly repositories: RepositoryDirectory;
  readonly formats: readonly Format[];
}

const ALL = 'artifactory/api/repositories';
const ONE = `${ALL}/{key}`;

export function repositoryRoutes(deps: RepositoryDeps): readonly Route[] {
  return [
    route({ methods: READ, pattern: ALL, right: 'reader', handle: (request) => list(deps, request) }),
    route({ methods: READ, pattern: ONE, right: 'user', handle: (request) => get(deps, request) }),
    bodyRoute({
      methods: ['PUT'],
      pattern: ONE,
      right: 'admin',
      body: repositoryBody,
      handle: (request) => create(deps, request),
    }),
    bodyRoute({
      methods: ['POST'],
      pattern: ONE,
      right: 'admin',
      body: repositoryBody,
      handle: (request) => update(deps, request),
    }),
    route({ methods: ['DELETE'], pattern: ONE, right: 'admin', handle: (request) => remove(deps, request) }),
  ];
}

/** Those the caller may know of. A filter nobody knows matches nothing. */
async function list(deps: RepositoryDeps, { query, caller, root }: ApiRequest): Promise<Reply> {
  const wanted = (name: string) => query.get(name)?.toLowerCase();
  const [type, packageType] = [wanted('type'), wanted('packageType')];
  const known = deps.formats.flatMap(({ packageTypes }) => packageTypes);
  const rows = deps.repositories
    .list(known, caller.principal)
    .filter((repo) => type === undefined || repo.rclass === type)
    .filter((repo) => packageType === undefined || repo.packageType === packageType)
    .map((repo) => ({
      key: repo.key,
      ...describe(repo),
      type: repo.rclass.toUpperCase(),
      url: `${root}/${repo.key}`,
      packageType: displayPackageType(repo.packageType),
    }));
  const reply = typed('repositories.RepositoryDetailsList', rows);
  return { ...reply, headers: { ...reply.headers, 'Cache-Control': 'no-store' } };
}

/** All settings for an administrator, the mere facts for others. */
async function get(deps: RepositoryDeps, { params, caller }: ApiRequest): Promise<Reply> {
  const repo = deps.repositories.get(params['key'] ?? '', caller.principal);
  if (!repo) throw unknown(params['key'] ?? '');
  const { key, rclass, packageType, settings } = repo;
  if (!isAdmin(caller.principal)) {
    return typed('repositories.LocalRepositoryConfiguration', {
      key,
      packageType,
      description: settings['description'] ?? '',
      rclass,
    });
  }
  return typed('repositories.LocalRepositoryConfiguration', {
    key,
    packageType,
    ...completeSettings(settings),
    rclass,
  });
}

async function create(deps: RepositoryDeps, request: ApiRequest<RepositoryBody>): Promise<Reply> {
  const { body, caller } = request;
  const key = keyOf(request);
  const config = checkedSettings(body);
  try {
    await deps.administration.create(
      {
        key,
        rclass: (body.rclass ?? 'local').toLowerCase(),
        packageType: (body.packageType ?? 'generic').toLowerCase(),
        config,
      },
      nameOf(caller.principal),
    );
  } catch (error) {
    // Artifactory answers 400, and clients tell from that that the repository is there.
    if (!isAppError(error, 'conflict')) throw error;
    throw new AppError('invalid', `Case insensitive repository key already exists. ${error.message}`);
  }
  return { status: 200, text: `Successfully created repository '${key}'\n` };
}

async function update(deps: RepositoryDeps, request: ApiRequest<RepositoryBody>): Promise<Reply> {
  const { body, caller } = request;
  const key = keyOf(request);
  const repo = deps.repositories.get(key, caller.principal);
  if (!repo) throw unknown(key);
  refuseChange('class', repo.rclass, body.rclass);
  refuseChange('package type', repo.packageType, body.packageType);
  await deps.administration.update(key, checkedSettings(body), nameOf(caller.principal));
  return { status: 200, text: `Repository ${key} update successfully.\n` };
}

async function remove(deps: RepositoryDeps, { params, caller }: ApiRequest): Promise<Reply> {
  const key = params['key'] ?? '';
  if (!deps.repositories.has(key)) throw unknown(key);
  await deps.administration.delete(key, nameOf(caller.principal));
  return { status: 200, text: `Repository ${key} and all its content have been removed successfully.` };
}

function keyOf({ params, body }: ApiRequest<RepositoryBody>): string {
  const key = params['key'] ?? '';
  if (body.key !== undefined && body.key !== key) {
    throw new AppError(
      'invalid',
      `The body is for the repository "${clip(body.key)}", the address for "${clip(key)}".`,
    );
  }
  return key;
}

function checkedSettings(body: RepositoryBody): Readonly<Record<string, unknown>> {
  parsePatterns(body.includesPattern ?? '');
  parsePatterns(body.excludesPattern ?? '');
  return settingsOf(body);
}

function refuseChange(what: string, current: string, wanted: string | undefined): void {
  if (wanted === undefined || wanted.toLowerCase() === current) return;
  throw new AppError(
    'invalid',
    `The ${what} of a repository cannot be changed from "${current}" to "${clip(wanted)}".`,
  );
}

function describe(repo: Repository): { readonly description?: unknown } {
  const description = repo.settings['description'];
  return description === undefined || description === '' ? {} : { description };
}

/** Artifactory answers 400 for a repository that is not there or may not be seen. */
function unknown(key: string): AppError {
  return new AppError('invalid', `There is no repository "${clip(key)}", or you may not see it.`);
}

function isAdmin(principal: Principal): boolean {
  return principal.kind === 'user' && principal.admin && !principal.scope;
}
