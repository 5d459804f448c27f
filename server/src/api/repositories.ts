/** Repositories and their settings. */
import { z } from 'zod';
import { AppError, isAppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { packageTypeOf, REPOSITORY_CLASSES, type RepositoryClass } from '../core/package-types.ts';
import { nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { Administration, NewRepository } from '../repositories/administration.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { listRow, wholeConfiguration } from './repository-settings.ts';
import { type ApiRequest, bodyRoute, READ, type Route, route, typed } from './route.ts';

export interface RepositoryDeps {
  readonly administration: Administration;
  readonly repositories: RepositoryDirectory;
}

const ALL = 'artifactory/api/repositories';
const ONE = `${ALL}/{key}`;

/** A body that creates or changes a repository. Fields that its class does not have are dropped, as Artifactory does. */
export const repositoryBody = z.looseObject({
  key: z.string().optional(),
  rclass: z.string().optional(),
  packageType: z.string().optional(),
});
export type RepositoryBody = z.infer<typeof repositoryBody>;

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
    route({
      methods: ['POST'],
      pattern: 'artifactory/api/federation/migrate/{key}',
      right: 'admin',
      async handle({ params, caller }) {
        await deps.administration.federate(params['key'] ?? '', nameOf(caller.principal));
        return { status: 200, text: `Repository ${params['key']} is federated now.` };
      },
    }),
  ];
}

/** Those the caller may know of. A filter nobody knows matches nothing. */
async function list(deps: RepositoryDeps, { query, caller, root }: ApiRequest): Promise<Reply> {
  const viewer = { ...deps, principal: caller.principal, root };
  const rows = deps.repositories
    .describeAll(caller.principal)
    .filter(filterOf(query, { rclass: 'type' }))
    .map((repository) => listRow(repository, viewer));
  const reply = typed('repositories.RepositoryDetailsList', rows);
  return { ...reply, headers: { ...reply.headers, 'Cache-Control': 'no-store' } };
}

/** What a query asks for: the class, which goes by several names, the package type and the project. */
export function filterOf(
  query: URLSearchParams,
  names: { readonly rclass: string },
): (repository: { rclass: string; packageType: string; config: Readonly<Record<string, unknown>> }) => boolean {
  const rclass = query.get(names.rclass)?.toLowerCase();
  const wanted = query.get('packageType');
  const packageType = wanted === null ? undefined : (packageTypeOf(wanted)?.name ?? '');
  const project = query.get('project') ?? query.get('projectKey') ?? undefined;
  return (repository) =>
    (rclass === undefined || repository.rclass === rclass) &&
    (packageType === undefined || repository.packageType === packageType) &&
    (project === undefined || (repository.config['projectKey'] ?? 'default') === project);
}

async function get(deps: RepositoryDeps, { params, caller, root, exchange }: ApiRequest): Promise<Reply> {
  const repository = deps.repositories.describe(params['key'] ?? '', caller.principal);
  if (!repository) throw unknown(params['key'] ?? '');
  requireAccepted(exchange.request.headers.accept, repository.rclass);
  const configuration = wholeConfiguration(repository, { ...deps, principal: caller.principal, root });
  return typed(`repositories.${mediaName(repository.rclass)}`, configuration);
}

async function create(deps: RepositoryDeps, request: ApiRequest<RepositoryBody>): Promise<Reply> {
  const key = keyOf(request);
  requirePosition(request.query);
  const rclass = request.body.rclass ?? classOfMediaType(request.exchange.request.headers['content-type']) ?? 'local';
  requireMediaType(request, rclass);
  requireNoLoop(request.body, request.exchange.origin);
  try {
    await deps.administration.create(newRepository(request.body, key, rclass), nameOf(request.caller.principal));
  } catch (error) {
    throw takenAsInvalid(error);
  }
  return { status: 200, text: `Successfully created repository '${key}'\n` };
}

/** What a body asks to be created. */
export function newRepository(body: RepositoryBody, key: string, rclass: string): NewRepository {
  return { key, rclass, packageType: body.packageType ?? 'generic', config: body };
}

/** Artifactory answers 400 for a key that is taken, and clients tell from that that the repository is there. */
export function takenAsInvalid(error: unknown): unknown {
  if (!isAppError(error, 'conflict')) return error;
  return new AppError('invalid', `Case insensitive repository key already exists. ${error.message}`);
}

async function update(deps: RepositoryDeps, request: ApiRequest<RepositoryBody>): Promise<Reply> {
  const { body, caller } = request;
  const key = keyOf(request);
  const repository = deps.repositories.describe(key, caller.principal);
  if (!repository) throw unknown(key);
  requireMediaType(request, repository.rclass);
  requireNoLoop(body, request.exchange.origin);
  await deps.administration.update(key, body, nameOf(caller.principal));
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

/** A place in the list is taken and does nothing: lists are ordered by key. */
function requirePosition(query: URLSearchParams): void {
  const position = query.get('pos');
  if (position !== null && !/^\d{1,6}$/.test(position)) {
    throw new AppError('invalid', `"${clip(position)}" is no position in the list: use a number from 0 on.`);
  }
}

/** A repository that fetches from this server would go round in a loop. */
export function requireNoLoop(body: RepositoryBody, origin: string): void {
  const url = body['url'];
  if (typeof url !== 'string' || !URL.canParse(url) || new URL(url).origin !== new URL(origin).origin) return;
  throw new AppError('invalid', 'The field "url" names this server itself, so requests would go round in a loop.');
}

function mediaName(rclass: RepositoryClass): string {
  return `${rclass.charAt(0).toUpperCase()}${rclass.slice(1)}RepositoryConfiguration`;
}

function classOfMediaType(type: string | undefined): RepositoryClass | undefined {
  const [, name] = /\brepositories\.(\w+)RepositoryConfiguration\+json/i.exec(type ?? '') ?? [];
  return REPOSITORY_CLASSES.find((rclass) => rclass === name?.toLowerCase());
}

function requireMediaType({ exchange }: ApiRequest<RepositoryBody>, rclass: string): void {
  const named = classOfMediaType(exchange.request.headers['content-type']);
  if (named === undefined || named === rclass.toLowerCase()) return;
  throw new AppError(
    'not_acceptable',
    `The body is said to be of a ${named} repository, but this one is ${clip(rclass)}.`,
  );
}

function requireAccepted(accept: string | undefined, rclass: RepositoryClass): void {
  if (accept === undefined || accept.trim() === '') return;
  const own = `application/vnd.org.jfrog.artifactory.repositories.${mediaName(rclass)}+json`.toLowerCase();
  const accepted = accept.split(',').map((type) => (type.split(';', 1)[0] ?? '').trim().toLowerCase());
  if (accepted.some((type) => ['*/*', 'application/*', 'application/json', own].includes(type))) return;
  // Types that name no class fit all of them.
  const vendor = 'application/vnd.org.jfrog.artifactory.';
  if (accepted.some((type) => type.startsWith(vendor) && classOfMediaType(type) === undefined)) return;
  throw new AppError(
    'not_acceptable',
    `The answer is of the type "${own}" or "application/json", which is not accepted.`,
  );
}

/** Artifactory answers 400 for a repository that is not there or may not be seen. */
function unknown(key: string): AppError {
  return new AppError('invalid', `There is no repository "${clip(key)}", or you may not see it.`);
}
