/** Promoting builds, and finding the files they made. */
import { z } from 'zod';
import { type FoundFile, locateArtifacts } from '../builds/artifacts.ts';
import { type BuildDeps, findRun, requireBuildRepository, requireDocument, requireRun } from '../builds/builds.ts';
import { renderMoment } from '../builds/dates.ts';
import { type Promoting, type PromotionRequest, promoteRun, promotionBody } from '../builds/promotion.ts';
import { compileAntPattern } from '../core/ant-pattern.ts';
import type { AppError } from '../core/errors.ts';
import { encodePath, joinPath, type RepoPath, splitPath } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { Asset } from '../core/repository.ts';
import { BUILDS, repositoryOf, runOfRequest } from './builds.ts';
import { type ApiRequest, bodyRoute, READ, type Route, route } from './route.ts';

const FILES = 'artifactory/api/builds/buildArtifacts';

const word = z.union([z.string(), z.number().transform(String)]);
const patternBody = z
  .array(
    z.object({
      buildName: z.string(),
      buildNumber: word,
      project: z.string().nullish(),
      patterns: z.array(z.object({ pattern: z.string() })).max(1000),
    }),
  )
  .max(100);

export type BuildPromotionDeps = Promoting;

export function buildPromotionRoutes(deps: Promoting): readonly Route[] {
  return [
    bodyRoute({
      methods: ['POST'],
      pattern: `${BUILDS}/promote/{name}/{number}`,
      right: 'user',
      body: promotionBody,
      // A time that cannot be read is told the way the result of a promotion is.
      renderFailure: (error, status) =>
        error.detail['messages'] ? { messages: error.detail['messages'] } : plain(error, status),
      handle: (request) => promote(deps, request),
    }),
    route({
      methods: READ,
      pattern: `${FILES}/{name}/{number}/{buildRepo}`,
      right: 'reader',
      handle: (request) => listFiles(deps, request),
    }),
    bodyRoute({
      methods: ['POST'],
      pattern: `${BUILDS}/patternArtifacts`,
      right: 'user',
      body: patternBody,
      handle: (request) => matchFiles(deps, request),
    }),
  ];
}

function plain(error: AppError, status: number) {
  return { errors: [{ status, message: error.message }] };
}

async function promote(deps: Promoting, request: ApiRequest<PromotionRequest>): Promise<Reply> {
  const repo = repositoryOf(deps, request);
  const run = await runOfRequest(deps, repo, request);
  const messages = await promoteRun(deps, { repo, run, principal: request.caller.principal }, request.body);
  return {
    status: 200,
    json: { messages },
    headers: { 'Content-Type': 'application/vnd.org.jfrog.artifactory.build.PromotionResult+json' },
  };
}

async function listFiles(deps: BuildDeps, request: ApiRequest): Promise<Reply> {
  const { params, caller } = request;
  const repo = requireBuildRepository(deps, { buildRepo: params['buildRepo'] }, caller.principal);
  const run = await runOfRequest(deps, repo, request);
  const { document } = await requireDocument(repo, run);
  const { found } = await locateArtifacts(deps, caller.principal, document);
  return {
    status: 200,
    json: found.map(({ repo: key, path }) => {
      const { parent, name } = splitPath(path);
      return { repo: key, path: parent, name };
    }),
  };
}

/** The files of each build that fit its patterns, `repository:path` with the wildcards of paths in either part. */
async function matchFiles(deps: BuildDeps, request: ApiRequest<z.infer<typeof patternBody>>): Promise<Reply> {
  const { body, caller, root } = request;
  const results: object[] = [];
  for (const { buildName, buildNumber, project, patterns } of body) {
    const matchers = patterns.map(({ pattern }) => ({ pattern, matches: parsePattern(pattern) }));
    const repo = requireBuildRepository(deps, { project }, caller.principal);
    const wanted = { name: buildName, number: buildNumber };
    // The client takes the results in the order of its requests.
    const run = (await findRun(deps, repo, wanted)) ?? (await requireRun(deps, repo, wanted));
    const { document } = await requireDocument(repo, run);
    const { found } = await locateArtifacts(deps, caller.principal, document);
    const patternResults: object[] = [];
    for (const { pattern, matches } of matchers) {
      const files = found.filter((file) => matches(file));
      const patternArtifacts: object[] = [];
      for (const file of files) patternArtifacts.push(...(await describe(deps, caller.principal, file, root)));
      patternResults.push({ pattern, patternArtifacts });
    }
    results.push({
      buildName: run.name,
      buildNumber: run.number,
      started: renderMoment(new Date(run.startedAt)),
      url: `${root}/api/build/${encodeURIComponent(run.name)}/${encodeURIComponent(run.number)}`,
      patternResults,
    });
  }
  return { status: 200, json: results };
}

function parsePattern(text: string): (file: FoundFile) => boolean {
  // Properties after the pattern narrow what other builds made; what this one made is known.
  const [place = ''] = text.split(';', 1);
  const colon = place.indexOf(':');
  const repos = compileAntPattern(colon < 0 ? '*' : place.slice(0, colon));
  const paths = compileAntPattern(colon < 0 ? place : place.slice(colon + 1));
  return ({ repo, path }) => repos.matches(repo) && paths.matches(path);
}

async function describe(
  { repositories }: BuildDeps,
  principal: Principal,
  { repo, path }: FoundFile,
  root: string,
): Promise<object[]> {
  const asset: Asset | undefined = await repositories.get(repo, principal)?.get(path as RepoPath);
  if (!asset) return [];
  const { sha1 } = await asset.checksums();
  const uri = encodePath(joinPath(repo, path));
  return [{ artifactoryUrl: root, uri, size: asset.size, lastModified: renderMoment(asset.modifiedAt), sha1 }];
}
