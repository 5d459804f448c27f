/** Packages as people look at them: addresses of our own. What is told is authorised where the files lie. */
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { packageTypeOf } from '../core/package-types.ts';
import type { Reply } from '../core/protocol.ts';
import type { PackageCatalogue } from '../repositories/packages/catalogue.ts';
import type { PackageReleases } from '../repositories/packages/releases.ts';
import { type ApiRequest, READ, type Route, route } from './route.ts';

export interface PackageDeps {
  readonly packages: { readonly catalogue: PackageCatalogue; readonly releases: PackageReleases };
}

const ALL = 'artifactory/api/v1/packages';
const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 200;
const MAX_TEXT = 500;

export function packageRoutes({ packages }: PackageDeps): readonly Route[] {
  const { catalogue, releases } = packages;
  const look = (pattern: string, answer: (request: ApiRequest) => Promise<unknown>) =>
    route({
      methods: READ,
      pattern: `${ALL}${pattern}`,
      right: 'reader',
      handle: async (request) => shown(await answer(request)),
    });
  return [
    look('', (request) => {
      const types = listOf(request, 'type')?.map(requireType);
      return catalogue.search(request.caller.principal, {
        ...namesOf(request),
        types,
        repositories: listOf(request, 'repository'),
      });
    }),
    look('/{repo}', (request) => {
      const order = choiceOf(request, 'sort', ['name', 'published']);
      return catalogue.list(repoOf(request), request.caller.principal, {
        ...namesOf(request),
        order,
        descending: choiceOf(request, 'order', order === 'name' ? ['asc', 'desc'] : ['desc', 'asc']) === 'desc',
      });
    }),
    look('/{repo}/summary/{name...}', (request) =>
      releases.summary(repoOf(request), nameOf(request), request.caller.principal),
    ),
    look('/{repo}/versions/{name...}', (request) =>
      releases.versions(repoOf(request), nameOf(request), request.caller.principal, namesOf(request)),
    ),
    look('/{repo}/version/{name...}', (request) => {
      const version = textOf(request, 'version');
      if (version === undefined) {
        throw new AppError('invalid', 'Name the version by the parameter "version", as in "?version=1.0.0".');
      }
      return releases.version(repoOf(request), nameOf(request), version, request.caller.principal);
    }),
  ];
}

/** What is shown depends on who asks, and changes with every deposit. */
function shown(json: unknown): Reply {
  return { status: 200, json, headers: { 'Cache-Control': 'no-store' } };
}

function repoOf({ params }: ApiRequest): string {
  return params['repo'] ?? '';
}

/** A slash of a name may come encoded: no name has the three characters that stand for it. */
function nameOf({ params }: ApiRequest): string {
  return (params['name'] ?? '').replaceAll('%2F', '/');
}

function namesOf(request: ApiRequest) {
  return {
    text: textOf(request, 'q'),
    prefix: textOf(request, 'prefix'),
    limit: limitOf(request),
    after: request.query.get('after') ?? undefined,
  };
}

function textOf({ query }: ApiRequest, name: string): string | undefined {
  const text = query.get(name) ?? '';
  if (text.length > MAX_TEXT) {
    throw new AppError('invalid', `The parameter "${name}" cannot be longer than ${MAX_TEXT} characters.`);
  }
  return text === '' ? undefined : text;
}

function listOf(request: ApiRequest, name: string): string[] | undefined {
  const values = request.query
    .getAll(name)
    .flatMap((text) => text.split(','))
    .map((text) => text.trim())
    .filter((text) => text !== '');
  return values.length === 0 ? undefined : [...new Set(values)].sort();
}

function requireType(name: string): string {
  const type = packageTypeOf(name);
  if (type) return type.name;
  throw new AppError('invalid', `"${clip(name)}" is no package type. Use one such as "npm", "maven" or "docker".`);
}

function limitOf({ query }: ApiRequest): number {
  const text = query.get('limit');
  if (text === null) return DEFAULT_LIMIT;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit >= 1) return Math.min(limit, MAX_LIMIT);
  throw new AppError('invalid', `"${clip(text)}" is no limit: use a number from 1 to ${MAX_LIMIT}.`);
}

/** One of the choices; the first where nothing is said. */
function choiceOf<T extends string>({ query }: ApiRequest, name: string, choices: readonly [T, ...T[]]): T {
  const text = query.get(name);
  if (text === null || text === '') return choices[0];
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  const told = choices.map((choice) => `"${choice}"`).join(' or ');
  throw new AppError('invalid', `"${clip(text)}" is not understood for "${name}": use ${told}.`);
}
