/** Searches from files to builds and back, and for the lead file of a package. */
import { z } from 'zod';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import type { Criterion } from '../db/search/criteria.ts';
import { matches } from '../db/search/predicate.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { itemSearch, type Searches } from '../search/searches.ts';
import { type ApiRequest, bodyRoute, READ, type Route, route } from './route.ts';
import { downloadUri, field, findItems, mapped, orNotFound, pathOf, results } from './search-results.ts';

export interface BuildSearchDeps {
  readonly searches: Searches;
  readonly repositories: RepositoryDirectory;
}

const artifactsBody = z.object({
  buildName: z.string().min(1).max(1024),
  buildNumber: z.string().max(1024).optional(),
  buildStatus: z.string().max(1024).optional(),
  repos: z.array(z.string().max(255)).max(1000).optional(),
  mappings: z
    .array(z.object({ input: z.string().max(1000), output: z.string().max(1000).optional() }))
    .max(100)
    .optional(),
});
const leadFileBody = z.object({
  package_version: z.string().min(1).max(1024),
  package_name: z.string().min(1).max(2048),
  package_repo_name: z.string().min(1).max(255),
  package_type: z.string().max(100).optional(),
});

export function buildSearchRoutes({ searches, repositories }: BuildSearchDeps): readonly Route[] {
  return [
    route({
      methods: READ,
      pattern: 'artifactory/api/search/dependency',
      right: 'user',
      handle: (request) => buildsUsing(searches, request),
    }),
    bodyRoute({
      methods: ['POST'],
      pattern: 'artifactory/api/search/buildArtifacts',
      right: 'user',
      body: artifactsBody,
      handle: (request) => artifactsOf(searches, request),
    }),
    bodyRoute({
      methods: ['POST'],
      pattern: 'artifactory/api/packagesSearch/leadFile',
      right: 'user',
      body: leadFileBody,
      handle: (request) => leadFile(repositories, request),
    }),
  ];
}

/** Builds that a file was a dependency of. */
async function buildsUsing(searches: Searches, request: ApiRequest): Promise<Reply> {
  const sha1 = request.query.get('sha1')?.trim().toLowerCase() ?? '';
  if (!/^[0-9a-f]{40}$/.test(sha1)) {
    throw new AppError('invalid', `"${clip(sha1)}" is no sha1 checksum: 40 hexadecimal digits are needed.`);
  }
  const { principal } = request.caller;
  const scope = searches.scope(principal, { withTrash: false });
  const search = itemSearch({
    domain: 'build',
    where: field('module.dependency.sha1', 'eq', sha1),
    fields: ['name', 'number'],
  });
  const builds = await searches.find(search, scope, { principal, signal: request.exchange.signal });
  const uriOf = (build: Record<string, unknown>) =>
    `${request.root}/api/build/${encodeURIComponent(String(build['build.name']))}/${encodeURIComponent(String(build['build.number']))}`;
  return results(
    'DependencyBuilds',
    mapped(builds, (build) => ({ uri: uriOf(build) })),
  );
}

/** The files that a build made: of one run, of the newest, or of the newest that was promoted to a status. */
async function artifactsOf(searches: Searches, request: ApiRequest<z.infer<typeof artifactsBody>>): Promise<Reply> {
  const { buildName, buildNumber, buildStatus, repos, mappings } = request.body;
  if ((buildNumber === undefined) === (buildStatus === undefined)) {
    throw new AppError('invalid', 'Give either "buildNumber" or "buildStatus".');
  }
  const { principal } = request.caller;
  const scope = searches.scope(principal, {
    withTrash: false,
    ...(repos?.length && { only: repos }),
  });
  const of: Criterion[] = [field('name', 'eq', buildName)];
  if (buildNumber !== undefined && buildNumber !== 'LATEST') of.push(field('number', 'eq', buildNumber));
  if (buildStatus !== undefined) of.push(field('promotion.status', 'eq', buildStatus));
  const newest = await searches.find(
    itemSearch({
      domain: 'build',
      where: { kind: 'all', of },
      fields: ['id', 'started'],
      sort: [{ links: [], field: 'started', descending: true }],
      limit: 1,
    }),
    scope,
    { principal, signal: request.exchange.signal },
  );
  const build = (await newest.next()).value as Record<string, unknown> | undefined;
  await newest.return(undefined);
  if (!build)
    throw new AppError('not_found', `There is no such run of the build "${clip(buildName)}", or you may not read it.`);
  const found = await findItems(searches, request, scope, {
    where: field('artifact.module.build.id', 'eq', Number(build['build.id'])),
  });
  // Inputs are regular expressions at Artifactory: those that say no more than "anything here" are understood.
  const patterns = mappings?.map(({ input }) => input.replace(/\((\.[*+])\)|\.[*+]/g, '*').replace(/\\(.)/g, '$1'));
  const wanted = mapped(found, (item) => {
    const path = `${item.repo}/${pathOf(item)}`;
    if (patterns && !patterns.some((pattern) => matches(pattern, path) || matches(pattern, pathOf(item))))
      return undefined;
    return { downloadUri: downloadUri(request.root, item) };
  });
  return results('BuildArtifacts', await orNotFound(wanted, 'No artifacts of the build were found.'));
}

async function leadFile(
  repositories: RepositoryDirectory,
  { body, caller }: ApiRequest<z.infer<typeof leadFileBody>>,
): Promise<Reply> {
  const repo = repositories.get(body.package_repo_name, caller.principal);
  const asset = await repo?.version(body.package_name, body.package_version);
  if (!repo || !asset) {
    throw new AppError(
      'not_found',
      `There is no version "${clip(body.package_version)}" of the package "${clip(body.package_name)}" in "${clip(body.package_repo_name)}".`,
    );
  }
  return { status: 200, text: `${repo.key}/${asset.path}` };
}
