/** Properties of items: setting, changing and deleting them. */
import { z } from 'zod';
import { readAll } from '../../core/bodies.ts';
import { AppError, isAppError } from '../../core/errors.ts';
import { clip, joinPath, type Properties } from '../../core/ids.ts';
import {
  parseKeyList,
  parsePropertyList,
  rawParameter,
  requirePropertyKey,
  requirePropertyValue,
} from '../../core/property-list.ts';
import type { Reply } from '../../core/protocol.ts';
import type { Database } from '../../db/database.ts';
import type { PropertyChange } from '../../db/properties.ts';
import { changeStatistic } from '../../db/statistics.ts';
import { getSubtreeNode } from '../../db/subtrees.ts';
import { parseJson } from '../../lib/json.ts';
import { annotateItem } from '../../repositories/annotate.ts';
import type { RepositoryDirectory } from '../../repositories/directory.ts';
import type { TreeOperations } from '../../repositories/operations.ts';
import { type ApiRequest, isSwitchedOn, type Route, route } from '../route.ts';
import { changedPlaceOf, type Place } from './place.ts';

export interface PropertyDeps {
  readonly repositories: RepositoryDirectory;
  readonly operations: TreeOperations;
  readonly database: Database;
}

const STORAGE = 'artifactory/api/storage';
const METADATA = 'artifactory/api/metadata';
const MAX_BODY_BYTES = 1024 * 1024;
const MAX_DEPTH = 20;

export function propertyRoutes(deps: PropertyDeps): readonly Route[] {
  const paths = (area: string) => [`${area}/{repo}`, `${area}/{repo}/{path...}`];
  return [
    ...paths(STORAGE).flatMap((pattern) => [
      route({ methods: ['PUT'], pattern, right: 'reader', handle: (request) => set(deps, request) }),
      route({ methods: ['DELETE'], pattern, right: 'reader', handle: (request) => remove(deps, request) }),
    ]),
    ...paths(METADATA).flatMap((pattern) => [
      route({ methods: ['PATCH'], pattern, right: 'reader', handle: (request) => patch(deps, request) }),
      route({ methods: ['DELETE'], pattern, right: 'reader', handle: (request) => removeAll(deps, request) }),
    ]),
  ];
}

async function set(deps: PropertyDeps, request: ApiRequest): Promise<Reply> {
  const raw = rawParameter(request.exchange.target.rawQuery, 'properties');
  if (raw === undefined) {
    throw new AppError('invalid', 'Nothing is to be set: send ?properties=key=value.');
  }
  return annotate(deps, request, { set: parsePropertyList(raw), remove: [] });
}

async function remove(deps: PropertyDeps, request: ApiRequest): Promise<Reply> {
  const raw = rawParameter(request.exchange.target.rawQuery, 'properties');
  if (raw === undefined) throw new AppError('invalid', 'Nothing is to be deleted: send ?properties=key1,key2.');
  return annotate(deps, request, { set: {}, remove: parseKeyList(raw) });
}

async function annotate(deps: PropertyDeps, request: ApiRequest, change: PropertyChange): Promise<Reply> {
  const place = changedPlaceOf(deps.repositories, request);
  await apply(deps, request, place, {
    change,
    recursive: isOn(request.query.get('recursive'), true),
    atomic: isOn(request.query.get('atomic'), false),
  });
  return { status: 204 };
}

function apply(
  { operations }: PropertyDeps,
  { caller }: ApiRequest,
  { repo, path }: Place,
  options: { readonly change: PropertyChange; readonly recursive: boolean; readonly atomic: boolean },
): Promise<void> {
  return annotateItem(operations, { principal: caller.principal, repo: repo.key, path, ...options });
}

/** Switches are `1` or `true`, `0` or `false`, in any case; one that says something else says nothing. */
function isOn(value: string | null, otherwise: boolean): boolean {
  if (isSwitchedOn(value)) return true;
  if (value === '0' || value?.toLowerCase() === 'false') return false;
  return otherwise;
}

const patchBody = z.object({ props: z.unknown().optional(), stats: z.unknown().optional() });
const patchStats = z.object({
  downloadCount: z.int().min(0).optional(),
  lastDownloaded: z.int().min(0).optional(),
  lastDownloadedBy: z.string().max(255).optional(),
});

async function patch(deps: PropertyDeps, request: ApiRequest): Promise<Reply> {
  const place = changedPlaceOf(deps.repositories, request);
  const { props, stats } = await readPatch(request);
  if (props === undefined && stats === undefined) throw new AppError('invalid', 'props or stats fields required');
  const name = `${place.repo.key}:${clip(place.path, 300)}`;
  try {
    if (props !== undefined) {
      await apply(deps, request, place, {
        change: parseProps(props, name),
        recursive: isOn(request.query.get('recursiveProperties'), true),
        atomic: isOn(request.query.get('atomicProperties'), false),
      });
    }
    if (stats !== undefined) await mergeStats(deps, request, place, stats);
  } catch (error) {
    if (isAppError(error, 'not_found')) throw new AppError('invalid', `Item ${name} does not exist`);
    throw error;
  }
  return { status: 204 };
}

/** The body with its nulls, which mean something here. */
async function readPatch({ exchange }: ApiRequest): Promise<{ readonly props?: unknown; readonly stats?: unknown }> {
  const bytes = await readAll(exchange.body(), { limit: MAX_BODY_BYTES, what: 'body' });
  const parsed = parseJson(bytes, { maxDepth: MAX_DEPTH });
  if ('problem' in parsed) throw new AppError('invalid', `The body is not acceptable: ${parsed.problem}.`);
  const body = patchBody.safeParse(parsed.value);
  if (!body.success) throw new AppError('invalid', 'props or stats fields required');
  return body.data;
}

function parseProps(props: unknown, name: string): PropertyChange {
  const failed = new AppError(
    'invalid',
    `Failed to set properties on ${name}: Failed to parse json object while performing patch properties request.`,
  );
  if (typeof props !== 'object' || props === null || Array.isArray(props)) throw failed;
  const set = new Map<string, readonly string[]>();
  const gone: string[] = [];
  for (const [key, value] of Object.entries(props)) {
    requirePropertyKey(key);
    const values: unknown[] = Array.isArray(value) ? value : [value];
    if (value === null) gone.push(key);
    else if (values.length > 0 && values.every((each) => typeof each === 'string')) set.set(key, values as string[]);
    else throw failed;
  }
  if (set.size + gone.length > 1000) throw new AppError('invalid', 'More than 1000 properties were given.');
  for (const [key, values] of set) for (const value of values) requirePropertyValue(key, value);
  return { set: Object.fromEntries(set) as Properties, remove: gone };
}

/** For who brings artifacts over from another server: what is given replaces what is known. */
async function mergeStats(
  { database, repositories }: PropertyDeps,
  { caller }: ApiRequest,
  { repo, path }: Place,
  stats: unknown,
): Promise<void> {
  const { principal } = caller;
  if (principal.kind !== 'user' || !principal.admin || principal.scope) {
    throw new AppError('forbidden', 'Only an administrator may change statistics.');
  }
  const parsed = patchStats.safeParse(stats);
  if (!parsed.success) {
    throw new AppError(
      'invalid',
      `The statistics of ${joinPath(repo.key, path)} are not acceptable: whole numbers are needed.`,
    );
  }
  const { downloadCount, lastDownloaded, lastDownloadedBy } = parsed.data;
  const repoId = repositories.idOf(repo.key);
  await database.transaction(async (tx) => {
    const node = repoId === undefined ? undefined : await getSubtreeNode(tx, repoId, path);
    if (!node) throw new AppError('not_found', 'Unable to find item');
    await changeStatistic(tx, node.id, {
      ...(downloadCount !== undefined && { downloads: downloadCount }),
      ...(lastDownloaded !== undefined && { downloadedAt: lastDownloaded }),
      ...(lastDownloadedBy !== undefined && { downloadedBy: lastDownloadedBy }),
    });
  });
}

/** Succeeds, too, where there is nothing to delete properties from. */
async function removeAll(deps: PropertyDeps, request: ApiRequest): Promise<Reply> {
  try {
    const place = changedPlaceOf(deps.repositories, request);
    await apply(deps, request, place, { change: { set: {}, remove: 'all' }, recursive: false, atomic: false });
  } catch (error) {
    const described = deps.repositories.describe(request.params['repo'] ?? '', request.caller.principal);
    const nothing = isAppError(error, 'not_found') || (isAppError(error, 'invalid') && described?.rclass === 'virtual');
    if (!nothing) throw error;
  }
  return { status: 204 };
}
