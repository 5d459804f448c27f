/** Builds: what was built, from what, and where it went. */
import {
  amendBuild,
  type BuildDeps,
  eachRun,
  findBuildName,
  listBuilds,
  publishBuild,
  requireBuildRepository,
  requireDocument,
  requireDocumentBytes,
  requireRun,
} from '../builds/builds.ts';
import { parseMoment, renderMoment } from '../builds/dates.ts';
import { diffBuilds } from '../builds/diff.ts';
import { MAX_DOCUMENT_BYTES, parseDocument, parseModules, readDocument } from '../builds/document.ts';
import { discardRuns, limitsOf } from '../builds/removal.ts';
import { AppError, isAppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { Repository } from '../core/repository.ts';
import type { RunRow } from '../db/builds.ts';
import { type ApiRequest, isSwitchedOn, READ, type Route, readJsonBytes, route } from './route.ts';

export const BUILDS = 'artifactory/api/build';

export function buildRoutes(deps: BuildDeps): readonly Route[] {
  const answer = (handle: (deps: BuildDeps, request: ApiRequest) => Promise<Reply>) => (request: ApiRequest) =>
    handle(deps, request);
  return [
    route({ methods: ['PUT'], pattern: BUILDS, right: 'user', handle: answer(publish) }),
    route({ methods: READ, pattern: BUILDS, right: 'reader', handle: answer(list) }),
    route({ methods: READ, pattern: `${BUILDS}/{name}`, right: 'reader', handle: answer(listNumbers) }),
    route({ methods: READ, pattern: `${BUILDS}/{name}/{number}`, right: 'reader', handle: answer(get) }),
    // The JFrog CLI asks for a build to be appended without encoding the slashes of its name.
    route({ methods: READ, pattern: `${BUILDS}/{name...}/{number}`, right: 'reader', handle: answer(get) }),
    route({ methods: ['POST'], pattern: `${BUILDS}/append/{name}/{number}`, right: 'user', handle: answer(append) }),
  ];
}

/** The repository that the query names, as the caller may use it. */
export function repositoryOf(deps: BuildDeps, { query, caller, exchange }: ApiRequest<unknown>): Repository {
  const where = { buildRepo: query.get('buildRepo'), project: query.get('project') };
  const repo = requireBuildRepository(deps, where, caller.principal);
  exchange.note.repo = repo.key;
  return repo;
}

/** The run that the address and the query name, or `not_found`. */
export function runOfRequest(
  deps: BuildDeps,
  repo: Repository,
  { params, query }: ApiRequest<unknown>,
): Promise<RunRow> {
  // A plus sign of a time zone that was not encoded arrives as a blank.
  const started = query
    .get('started')
    ?.trim()
    .replace(/ (?=\d\d:?\d\d$)/, '+');
  return requireRun(deps, repo, {
    name: params['name'] ?? '',
    number: params['number'] ?? '',
    startedAt: started ? parseMoment(started) : undefined,
  });
}

function typedBuild(
  type: string,
  body: { readonly json: unknown } | { readonly pieces: AsyncIterable<string> },
): Reply {
  return {
    status: 200,
    ...body,
    headers: { 'Content-Type': `application/vnd.org.jfrog.build.${type}+json`, 'Cache-Control': 'no-store' },
  };
}

async function publish(deps: BuildDeps, request: ApiRequest): Promise<Reply> {
  const { caller, exchange } = request;
  const repo = repositoryOf(deps, request);
  const bytes = await readJsonBytes(exchange, MAX_DOCUMENT_BYTES);
  const document = parseDocument(bytes, nameOf(caller.principal));
  const { sha256 } = await publishBuild(repo, document);
  const rules = document.buildRetention;
  if (rules && asksForSomething(rules)) {
    try {
      const removing = { repo, principal: caller.principal, withArtifacts: false };
      await discardRuns(deps, removing, String(document.name), rules);
    } catch (error) {
      // The build is published. Who may not remove older runs, keeps them.
      if (!isAppError(error)) throw error;
    }
  }
  return { status: 204, headers: { 'X-Checksum-Sha256': sha256 } };
}

function asksForSomething(rules: Parameters<typeof limitsOf>[0]): boolean {
  try {
    limitsOf(rules);
    return true;
  } catch (error) {
    if (isAppError(error, 'invalid')) return false;
    throw error;
  }
}

async function list(deps: BuildDeps, request: ApiRequest): Promise<Reply> {
  const repo = repositoryOf(deps, request);
  const builds = await listBuilds(deps, repo);
  if (builds.length === 0) throw new AppError('not_found', 'No builds were found');
  return typedBuild('Builds', {
    json: {
      uri: `${request.root}/api/build?buildRepo=${repo.key}`,
      builds: builds.map(({ name, lastStartedAt }) => ({
        uri: `/${encodeURIComponent(name)}`,
        lastStarted: renderMoment(lastStartedAt),
      })),
    },
  });
}

async function listNumbers(deps: BuildDeps, request: ApiRequest): Promise<Reply> {
  const repo = repositoryOf(deps, request);
  const asked = request.params['name'] ?? '';
  const name = await findBuildName(deps, repo, asked);
  if (name === undefined) {
    throw new AppError('not_found', `No build was found for build name: ${clip(asked.replaceAll('%2F', '/'))}`);
  }
  const uri = `${request.root}/api/build/${encodeURIComponent(name)}?buildRepo=${repo.key}`;
  async function* pieces() {
    yield `{"uri":${JSON.stringify(uri)},"buildsNumbers":[`;
    let first = true;
    for await (const run of eachRun(deps.database, repo, name as string)) {
      const row = { uri: `/${encodeURIComponent(run.number)}`, started: renderMoment(new Date(run.startedAt)) };
      yield `${first ? '' : ','}${JSON.stringify(row)}`;
      first = false;
    }
    yield ']}';
  }
  return typedBuild('BuildsByName', { pieces: pieces() });
}

async function get(deps: BuildDeps, request: ApiRequest): Promise<Reply> {
  const { query, root } = request;
  const repo = repositoryOf(deps, request);
  const run = await runOfRequest(deps, repo, request);
  const older = query.get('diff');
  if (older !== null) return diff(deps, repo, run, older);
  const { bytes } = await requireDocumentBytes(repo, run);
  const uri = `${root}/api/build/${encodeURIComponent(run.name)}/${encodeURIComponent(run.number)}`;
  if (isSwitchedOn(query.get('slim'))) {
    const { properties: _, ...slim } = readDocument(bytes);
    return typedBuild('BuildInfo', { json: { uri, buildInfo: { ...slim, modules: [] } } });
  }
  // The document is sent as it was stored: it can be large.
  async function* pieces() {
    yield `{"uri":${JSON.stringify(uri)},"buildInfo":${bytes.toString('utf8')}}`;
  }
  return typedBuild('BuildInfo', { pieces: pieces() });
}

async function diff(deps: BuildDeps, repo: Repository, run: RunRow, number: string): Promise<Reply> {
  const older = await requireRun(deps, repo, { name: run.name, number });
  const newer = await requireDocument(repo, run);
  const { document } = await requireDocument(repo, older);
  return typedBuild('BuildsDiff', { json: diffBuilds(newer.document, document) });
}

/** Adds modules as they come: one whose id is there already stands beside it. */
async function append(deps: BuildDeps, request: ApiRequest): Promise<Reply> {
  const repo = repositoryOf(deps, request);
  const run = await orNotThere(request, runOfRequest(deps, repo, request));
  repo.require('deploy', run.path);
  const modules = parseModules(await readJsonBytes(request.exchange, MAX_DOCUMENT_BYTES));
  await amendBuild(repo, run, (document) => ({ ...document, modules: [...(document.modules ?? []), ...modules] }));
  return { status: 204 };
}

async function orNotThere<T>({ params }: ApiRequest, found: Promise<T>): Promise<T> {
  try {
    return await found;
  } catch (error) {
    if (!isAppError(error, 'not_found')) throw error;
    const run = `${clip(params['name'] ?? '')}:${clip(params['number'] ?? '')}`.replaceAll('%2F', '/');
    throw new AppError('not_found', `The build ${run} is not found`);
  }
}
