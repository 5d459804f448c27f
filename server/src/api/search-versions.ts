/** Searches by coordinates, and for versions. */
import { AppError } from '../core/errors.ts';
import type { Reply } from '../core/protocol.ts';
import { compareVersions } from '../core/version-order.ts';
import type { Criterion } from '../db/search/criteria.ts';
import { matches } from '../db/search/predicate.ts';
import { type Coordinates, coordinatesAt, roughly } from '../search/coordinates.ts';
import type { Searches } from '../search/searches.ts';
import { type ApiRequest, isSwitchedOn, READ, type Route, route, typed } from './route.ts';
import type { SearchDeps } from './search-aql.ts';
import { property } from './search-items.ts';
import {
  detailOf,
  downloadUri,
  field,
  findItems,
  type Item,
  listParameter,
  mapped,
  parameter,
  pathOf,
  propertiesOf,
  renderItem,
  requestScope,
  results,
} from './search-results.ts';

const ALL = 'artifactory/api/search';
const NO_VERSIONS = 'Unable to find artifact versions';
/** Files of one version are told by `listFiles` up to this. */
const MAX_FILES = 1000;

export function versionSearchRoutes({ searches }: SearchDeps): readonly Route[] {
  const search = (name: string, answer: (searches: Searches, request: ApiRequest) => Promise<Reply>) =>
    route({
      methods: READ,
      pattern: `${ALL}/${name}`,
      right: 'reader',
      handle: (request) => answer(searches, request),
    });
  const newest = (request: ApiRequest) => newestByProperty(searches, request);
  return [
    search('gavc', byCoordinates),
    search('versions', versions),
    search('latestVersion', latestVersion),
    route({ methods: READ, pattern: 'artifactory/api/versions/{repo}', right: 'user', handle: newest }),
    route({ methods: READ, pattern: 'artifactory/api/versions/{repo}/{path...}', right: 'user', handle: newest }),
  ];
}

function coordinatesOf(request: ApiRequest): Coordinates {
  return {
    org: parameter(request, 'g'),
    module: parameter(request, 'a'),
    version: parameter(request, 'v'),
    classifier: parameter(request, 'c'),
  };
}

async function byCoordinates(searches: Searches, request: ApiRequest): Promise<Reply> {
  const wanted = coordinatesOf(request);
  if (Object.values(wanted).every((value) => value === undefined)) {
    throw new AppError('invalid', 'No coordinate was given. Use at least one of "g", "a", "v" and "c".');
  }
  const specific = isSwitchedOn(request.query.get('specific'));
  const detail = detailOf(request);
  const scope = requestScope(searches, request);
  const found = await findItems(searches, request, scope, {
    where: roughly(wanted, scope.repositories.values()),
    fields: detail.fields,
    includes: detail.includes,
  });
  const byKey = new Map([...scope.repositories.values()].map((repository) => [repository.key as string, repository]));
  const rows = mapped(found, (item) => {
    const match = coordinatesAt(byKey.get(item.repo)?.layout, pathOf(item), wanted);
    if (!match) return undefined;
    const { custom: _custom, integration, descriptor: _descriptor, ...tokens } = match.parts;
    return {
      ...renderItem(request.root, item, detail),
      ...(specific && { ...tokens, version: match.version, integration }),
    };
  });
  return results('GavcSearch', rows);
}

interface FoundVersion {
  readonly version: string;
  readonly integration: boolean;
}

/** All versions of a module, newest first; the revision asked for is no part of the search. */
async function listVersions(searches: Searches, request: ApiRequest): Promise<readonly FoundVersion[]> {
  const { org, module } = coordinatesOf(request);
  if (org === undefined && module === undefined) {
    throw new AppError('invalid', 'No module was given. Use the parameters "g" and "a".');
  }
  const wanted = { org, module, version: undefined, classifier: undefined };
  const scope = requestScope(searches, request);
  const found = await findItems(searches, request, scope, { where: roughly(wanted, scope.repositories.values()) });
  const byKey = new Map([...scope.repositories.values()].map((repository) => [repository.key as string, repository]));
  const known = new Map<string, boolean>();
  for await (const item of found) {
    const match = coordinatesAt(byKey.get(item.repo)?.layout, pathOf(item), wanted);
    if (match && match.version !== '') known.set(match.version, match.parts.integration);
  }
  if (known.size === 0) throw new AppError('not_found', NO_VERSIONS);
  return [...known]
    .map(([version, integration]) => ({ version, integration }))
    .sort((one, other) => compareVersions(other.version, one.version));
}

async function versions(searches: Searches, request: ApiRequest): Promise<Reply> {
  const pattern = parameter(request, 'v');
  const all = await listVersions(searches, request);
  const found = pattern === undefined ? all : all.filter(({ version }) => matches(pattern, version));
  return typed('search.ArtifactVersionsResult', { results: found });
}

async function latestVersion(searches: Searches, request: ApiRequest): Promise<Reply> {
  const pattern = parameter(request, 'v');
  const all = await listVersions(searches, request);
  const wantsIntegration = pattern?.endsWith('-SNAPSHOT') ?? false;
  const base = pattern?.slice(0, -'SNAPSHOT'.length) ?? '';
  const found = all.find(({ version, integration }) => {
    if (pattern === undefined) return !integration;
    return wantsIntegration ? integration && matches(`${base}*`, version) : matches(pattern, version);
  });
  if (!found) {
    throw new AppError('not_found', `Latest ${wantsIntegration ? 'integration' : 'release'} version not found`);
  }
  return { status: 200, text: found.version };
}

/** The newest value of the property `version` below a path, among items with the other properties of the query. */
async function newestByProperty(searches: Searches, request: ApiRequest): Promise<Reply> {
  const { repo = '_any', path = '_any' } = request.params;
  const of: Criterion[] = [property('version', '*')];
  for (const key of new Set(request.query.keys())) {
    if (key === 'listFiles' || key === '') continue;
    of.push({ kind: 'any', of: (listParameter(request, key) ?? ['*']).map((value) => property(key, value)) });
  }
  if (path !== '_any') {
    of.push({ kind: 'any', of: [field('path', 'eq', path), field('path', 'match', `${path}/*`)] });
  }
  const scope = searches.scope(request.caller.principal, {
    withTrash: false,
    ...(repo !== '_any' && { only: [repo] }),
  });
  const found = await findItems(searches, request, scope, {
    where: { kind: 'all', of },
    includes: [{ link: 'property', fields: ['key', 'value'], keys: ['version'], includes: [] }],
  });
  let newest: string | undefined;
  let files: Item[] = [];
  for await (const item of found) {
    for (const version of propertiesOf(item)['version'] ?? []) {
      const difference = newest === undefined ? 1 : compareVersions(version, newest);
      if (difference > 0) [newest, files] = [version, [item]];
      else if (difference === 0 && files.length < MAX_FILES) files.push(item);
    }
  }
  if (newest === undefined) throw new AppError('not_found', 'Not Found');
  const listFiles = isSwitchedOn(request.query.get('listFiles'));
  const artifacts = listFiles ? files.map((item) => ({ uri: downloadUri(request.root, item) })) : [];
  return { status: 200, json: { version: newest, artifacts } };
}
