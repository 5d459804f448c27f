/**
 * How virtual repositories resolve: in which order members are asked, who would answer for something and why others
 * would not, and which names of local packages remote members were asked for. Addresses of our own.
 */

import type { Principals } from '../auth/principals.ts';
import { AppError } from '../core/errors.ts';
import { clip, parseDigest, parseRepoPath } from '../core/ids.ts';
import { isAdmin, nameOf, type Principal } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { Wanted } from '../core/repository.ts';
import type { Database } from '../db/database.ts';
import { listPackages } from '../db/package-versions.ts';
import { listHoldersOfName, listShadowedNames } from '../db/shadowed-names.ts';
import { byBytes } from '../lib/by-bytes.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { effectiveOrder } from '../repositories/virtual/explain.ts';
import type { Plan } from '../repositories/virtual/plan.ts';
import { type ApiRequest, READ, type Route, route } from './route.ts';

export interface ResolutionDeps {
  readonly repositories: RepositoryDirectory;
  readonly principals: Principals;
  readonly database: Database;
}

const ROOT = 'artifactory/api/v1';
const NO_STORE = { 'Cache-Control': 'no-store' };
const PAGE = 100;
const MAX_PAGE = 1000;
/** Names of a cache that are looked at for one page of those that are local too. */
const MAX_LOOKED_AT = 2000;

export function resolutionRoutes(deps: ResolutionDeps): readonly Route[] {
  return [
    route({
      methods: READ,
      pattern: `${ROOT}/repositories/{key}/resolution-order`,
      right: 'user',
      handle: (request) => order(deps, request),
    }),
    route({
      methods: READ,
      pattern: `${ROOT}/explain/resolution`,
      right: 'user',
      handle: (request) => explain(deps, request),
    }),
    route({
      methods: READ,
      pattern: `${ROOT}/shadowing/{key}`,
      right: 'admin',
      handle: (request) => shadowing(deps, request),
    }),
  ];
}

async function order({ repositories }: ResolutionDeps, { params, caller }: ApiRequest): Promise<Reply> {
  const { principal } = caller;
  const key = params['key'] ?? '';
  const plan = repositories.describe(key, principal) && repositories.planOf(key);
  if (!plan) throw noVirtual(key);
  const isKnown = (member: string) => repositories.describe(member, principal) !== undefined;
  const members = effectiveOrder(plan)
    .filter(({ member }) => isKnown(member.key))
    .map(({ member, stage }) => ({ repository: member.key, stage, priority: member.priority }));
  const passedOver = plan.passedOver.filter(isKnown);
  return { status: 200, json: { repository: plan.key, members, blackedOut: passedOver }, headers: NO_STORE };
}

/** `?repo=&path=`, or `&package=` with `&version=` or `&digest=`; administrators may ask for another `&user=`. */
async function explain(deps: ResolutionDeps, { query, caller }: ApiRequest): Promise<Reply> {
  const key = query.get('repo') ?? '';
  const wanted = wantedOf(query);
  const full = isAdmin(caller.principal);
  const principal = await principalOf(deps, query.get('user'), caller.principal);
  const relayed = query.get('originated') === 'true';
  if (!deps.repositories.describe(key, caller.principal)) {
    throw new AppError('not_found', `There is no repository "${clip(key)}", or you may not know of it.`);
  }
  const steps = await deps.repositories.explain(key, principal, wanted, { full, relayed });
  const answers = steps.find(({ decision }) => decision === 'answers')?.repository;
  const asked = steps.filter(({ decision }) => decision === 'would be asked').map(({ repository }) => repository);
  return {
    status: 200,
    json: { repository: key, principal: nameOf(principal), ...(answers !== undefined && { answers }), asked, steps },
    headers: NO_STORE,
  };
}

function wantedOf(query: URLSearchParams): Wanted {
  const [path, name, version, digest] = ['path', 'package', 'version', 'digest'].map((key) => query.get(key));
  if (path) return { path: parseRepoPath(path) };
  if (name && version) return { package: name, version };
  const parsed = digest ? parseDigest(digest) : undefined;
  if (name && parsed) return { package: name, digest: parsed, lead: query.get('lead') !== 'false' };
  throw new AppError(
    'invalid',
    'Name what is asked for: "?repo=<key>&path=<path>", or "&package=<name>" with "&version=" or "&digest=".',
  );
}

async function principalOf({ principals }: ResolutionDeps, user: string | null, caller: Principal): Promise<Principal> {
  if (user === null) return caller;
  if (!isAdmin(caller)) throw new AppError('forbidden', 'Only an administrator may ask about others.');
  return principals.named(user);
}

/** Names that were asked of upstreams, and names that are in a cache, although local members have them. */
async function shadowing(deps: ResolutionDeps, { params, query }: ApiRequest): Promise<Reply> {
  const { repositories, database } = deps;
  const key = params['key'] ?? '';
  const plan = repositories.planOf(key);
  if (!plan) throw noVirtual(key);
  const limit = limitOf(query);
  const after = query.get('after') ?? undefined;
  const asked = wholeNames(await database.read((db) => listShadowedNames(db, plan.row.id, { after, limit })), limit);
  const { cached, next } = await cachedToo(deps, plan, { after, limit });
  // Both lists go on behind the same name.
  const upTo = [next, asked.next].flatMap((name) => name ?? []).sort(byBytes)[0];
  const onPage = ({ name }: { readonly name: string }) => upTo === undefined || byBytes(name, upTo) <= 0;
  return {
    status: 200,
    json: {
      repository: plan.key,
      asked: asked.rows.filter(onPage).map(({ firstAt, lastAt, ...row }) => ({
        ...row,
        first: new Date(Number(firstAt)).toISOString(),
        last: new Date(Number(lastAt)).toISOString(),
      })),
      cached: cached.filter(onPage),
      ...(upTo !== undefined && { next: upTo }),
    },
    headers: NO_STORE,
  };
}

interface CachedToo {
  readonly name: string;
  readonly remote: string;
  readonly locals: readonly string[];
}

/** A page may hold less than there is room for although more follows: `next` says so. */
async function cachedToo(
  { database }: ResolutionDeps,
  plan: Plan,
  { after, limit }: { readonly after: string | undefined; readonly limit: number },
): Promise<{ readonly cached: readonly CachedToo[]; readonly next?: string }> {
  const remotes = plan.members.filter(({ leaf }) => leaf.rclass === 'remote');
  const cached: CachedToo[] = [];
  let last = after;
  for (let looked = 0; looked < MAX_LOOKED_AT; ) {
    const name = await leastName(database, remotes, last);
    if (name === undefined) return { cached };
    last = name;
    looked += 1;
    const locals = await database.read((db) => listHoldersOfName(db, plan.localIds, name));
    if (locals.length > 0) {
      for (const { key, leaf } of remotes) {
        const holders = await database.read((db) => listHoldersOfName(db, [leaf.id], name));
        if (holders.length > 0) cached.push({ name, remote: key, locals });
      }
    }
    if (cached.length >= limit) break;
    // Reading from a database in this process never waits, so the others have to be let in.
    if (looked % 20 === 0) await new Promise(setImmediate);
  }
  return { cached, ...(last !== undefined && { next: last }) };
}

async function leastName(
  database: Database,
  remotes: Plan['members'],
  after: string | undefined,
): Promise<string | undefined> {
  let least: string | undefined;
  for (const { leaf } of remotes) {
    const page = { limit: 1, ...(after !== undefined && { after }) };
    const [name] = await database.read((db) => listPackages(db, leaf.id, page));
    if (name !== undefined && (least === undefined || byBytes(name, least) < 0)) {
      least = name;
    }
  }
  return least;
}

/** Rows without those of a last name of which some may be on the next page. */
function wholeNames<Row extends { readonly name: string }>(rows: readonly Row[], limit: number) {
  const last = rows.length < limit ? undefined : rows.at(-1)?.name;
  const whole = rows.filter(({ name }) => name !== last);
  if (last === undefined || whole.length === 0) return { rows, next: last };
  return { rows: whole, next: whole.at(-1)?.name };
}

function limitOf(query: URLSearchParams): number {
  const text = query.get('limit') ?? String(PAGE);
  if (!/^[1-9]\d{0,3}$/.test(text) || Number(text) > MAX_PAGE) {
    throw new AppError('invalid', `"limit=${clip(text, 40)}" must be a whole number from 1 to ${MAX_PAGE}.`);
  }
  return Number(text);
}

function noVirtual(key: string): AppError {
  return new AppError('not_found', `There is no virtual repository "${clip(key)}", or you may not know of it.`);
}
