/** Searches for items by name, property, checksum, time and use. */
import { compileAntPattern } from '../core/ant-pattern.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import type { Criterion } from '../db/search/criteria.ts';
import { itemSearch, type Searches } from '../search/searches.ts';
import { type ApiRequest, READ, type Route, route, typed } from './route.ts';
import type { SearchDeps } from './search-aql.ts';
import {
  detailOf,
  field,
  findItems,
  type Item,
  listed,
  listParameter,
  mapped,
  orNotFound,
  parameter,
  pathOf,
  renderItem,
  requestScope,
  results,
  storageUri,
} from './search-results.ts';

const ALL = 'artifactory/api/search';
const NEVER = '1970-01-01T00:00:00.000Z';
const MAX_BAD = 10_000;
const LENGTHS = { md5: 32, sha1: 40, sha256: 64 } as const;
const DATE_FIELDS: Readonly<Record<string, string>> = {
  created: 'created',
  lastModified: 'modified',
  lastDownloaded: 'stat.downloaded',
};

export function itemSearchRoutes({ searches }: SearchDeps): readonly Route[] {
  const search = (
    name: string,
    right: 'reader' | 'user',
    answer: (searches: Searches, request: ApiRequest) => Promise<Reply>,
  ) => route({ methods: READ, pattern: `${ALL}/${name}`, right, handle: (request) => answer(searches, request) });
  return [
    search('artifact', 'reader', byName),
    search('archive', 'reader', byEntry),
    search('prop', 'reader', byProperty),
    search('checksum', 'reader', byChecksum),
    search('pattern', 'user', byPattern),
    search('dates', 'user', byDates),
    search('creation', 'user', byCreation),
    search('usage', 'user', byUsage),
    search('badChecksum', 'user', badChecksums),
    // What licences artifacts have is not examined by this server, so it knows of none.
    search('license', 'user', async () => typed('search.LicenseResult', { results: [] })),
  ];
}

async function items(
  searches: Searches,
  request: ApiRequest,
  name: string,
  where: Criterion,
  anyType = false,
): Promise<Reply> {
  const detail = detailOf(request);
  const scope = requestScope(searches, request);
  const found = await findItems(searches, request, scope, {
    where,
    anyType,
    fields: detail.fields,
    includes: detail.includes,
  });
  return results(
    name,
    mapped(found, (item) => renderItem(request.root, item, detail)),
  );
}

async function byName(searches: Searches, request: ApiRequest): Promise<Reply> {
  const name = parameter(request, 'name');
  if (name === undefined || /^[*?%.\s]*$/.test(name)) {
    throw new AppError(
      'invalid',
      'The search term is empty or has nothing but wildcards. Give a part of the name of the file.',
    );
  }
  return items(searches, request, 'ArtifactSearch', field('name', 'imatch', `*${name}*`));
}

/** Archives by the names of what lies in them; each entry is told once, with all its archives. */
async function byEntry(searches: Searches, request: ApiRequest): Promise<Reply> {
  const name = parameter(request, 'name');
  if (name === undefined || /^[*?%.\s]*$/.test(name)) {
    throw new AppError(
      'invalid',
      'The search term is empty or has nothing but wildcards. Give the name of an entry, such as "*Logger.class".',
    );
  }
  const slash = name.lastIndexOf('/');
  const of: Criterion[] = [field('name', 'imatch', name.slice(slash + 1))];
  if (slash > 0) of.push(field('path', 'imatch', name.slice(0, slash)));
  const scope = requestScope(searches, request);
  const rows = await searches.find(
    itemSearch({
      domain: 'entry',
      where: { kind: 'all', of },
      fields: ['path', 'name'],
      includes: [
        { link: 'archive', fields: [], includes: [{ link: 'item', fields: ['repo', 'path', 'name'], includes: [] }] },
      ],
      sort: [
        { links: [], field: 'path', descending: false },
        { links: [], field: 'name', descending: false },
      ],
      ...(request.caller.authenticated ? {} : { limit: 1000 }),
    }),
    scope,
    { principal: request.caller.principal, signal: request.exchange.signal },
  );
  return results('ArchiveEntrySearch', entriesOf(rows, request.root));
}

async function* entriesOf(rows: AsyncIterable<Record<string, unknown>>, root: string) {
  let current: { entry: string; archiveUris: string[] } | undefined;
  for await (const row of rows) {
    const path = row['entry.path'] === '.' ? '' : `${String(row['entry.path'])}/`;
    const entry = `${path}${String(row['entry.name'])}`;
    const archives = (row['archives'] ?? []) as { readonly items?: readonly Item[] }[];
    const archiveUris = archives.flatMap(({ items = [] }) => items.map((item) => storageUri(root, item)));
    if (current && current.entry === entry) current.archiveUris.push(...archiveUris);
    else {
      if (current) yield current;
      current = { entry, archiveUris };
    }
  }
  if (current) yield current;
}

async function byProperty(searches: Searches, request: ApiRequest): Promise<Reply> {
  const of: Criterion[] = [];
  for (const key of new Set(request.query.keys())) {
    if (key === 'repos' || key === '') continue;
    of.push({ kind: 'any', of: (listParameter(request, key) ?? ['*']).map((value) => property(key, value)) });
  }
  if (of.length === 0) throw new AppError('invalid', 'No property was given. Name at least one, as in "?license=MIT".');
  return items(searches, request, 'MetadataSearch', { kind: 'all', of }, true);
}

export function property(key: string, value: string): Criterion {
  return { kind: 'property', links: ['property'], key, op: /[*?]/.test(value) ? 'match' : 'eq', value };
}

async function byChecksum(searches: Searches, request: ApiRequest): Promise<Reply> {
  const of: Criterion[] = [];
  for (const [algorithm, length] of Object.entries(LENGTHS)) {
    const value = parameter(request, algorithm)?.toLowerCase();
    if (value === undefined) continue;
    if (value.length !== length || !/^[0-9a-f]+$/.test(value)) {
      throw new AppError(
        'invalid',
        `"${clip(value)}" is no ${algorithm} checksum: ${length} hexadecimal digits are needed.`,
      );
    }
    of.push(field(algorithm === 'sha256' ? 'sha256' : `actual_${algorithm}`, 'eq', value));
  }
  if (of.length === 0) throw new AppError('invalid', 'No checksum was given. Use "md5", "sha1" or "sha256".');
  return items(searches, request, 'ChecksumSearch', { kind: 'all', of });
}

async function byPattern(searches: Searches, request: ApiRequest): Promise<Reply> {
  const text = parameter(request, 'pattern') ?? '';
  const colon = text.indexOf(':');
  const [key, pattern] = [text.slice(0, Math.max(colon, 0)), text.slice(colon + 1)];
  if (key === '' || pattern === '' || pattern.includes('**')) {
    throw new AppError('invalid', `"${clip(text)}" is no pattern: write "repository:path/of/*.jar", without "**".`);
  }
  const compiled = compileAntPattern(pattern);
  const plain = pattern.replace(/^\//, '').replace(/\/$/, '/*');
  const slash = plain.lastIndexOf('/');
  const where: Criterion = {
    kind: 'all',
    of: [
      field('path', 'match', slash < 0 ? '.' : plain.slice(0, slash)),
      field('name', 'match', plain.slice(slash + 1)),
    ],
  };
  const scope = searches.scope(request.caller.principal, { withTrash: false, only: [key] });
  const found = await findItems(searches, request, scope, { where });
  const files = mapped(found, (item) => (compiled.matches(pathOf(item)) ? pathOf(item) : undefined));
  const head = JSON.stringify({ repoUri: `${request.root}/${encodeURIComponent(key)}`, sourcePattern: text }).slice(
    0,
    -1,
  );
  const reply = results('PatternSearch', files);
  return { ...reply, pieces: listed(`${head},"files":[`, files, ']}') };
}

async function byDates(searches: Searches, request: ApiRequest): Promise<Reply> {
  const names = listParameter(request, 'dateFields');
  const unknown = names?.find((name) => !Object.hasOwn(DATE_FIELDS, name));
  if (!names || unknown !== undefined) {
    throw new AppError(
      'invalid',
      `"${clip(unknown ?? '')}" is no date: dateFields takes ${Object.keys(DATE_FIELDS).join(', ')}.`,
    );
  }
  return inRange(searches, request, { names, answer: 'ArtifactsDates' });
}

function byCreation(searches: Searches, request: ApiRequest): Promise<Reply> {
  return inRange(searches, request, { names: ['created'], answer: 'ArtifactCreation' });
}

async function inRange(
  searches: Searches,
  request: ApiRequest,
  { names, answer }: { readonly names: readonly string[]; readonly answer: string },
): Promise<Reply> {
  const from = time(request, 'from');
  if (from === undefined)
    throw new AppError('invalid', 'The parameter "from" is missing: milliseconds since 1970 are needed.');
  const to = time(request, 'to') ?? Date.now();
  const of = names.map((name): Criterion => {
    const column = DATE_FIELDS[name] as string;
    return { kind: 'all', of: [field(column, 'gte', from), field(column, 'lte', to)] };
  });
  const scope = requestScope(searches, request);
  const found = await findItems(searches, request, scope, {
    where: { kind: 'any', of },
    fields: ['created', 'modified'],
    includes: names.includes('lastDownloaded') ? [{ link: 'stat', fields: ['downloaded'], includes: [] }] : [],
  });
  const rows = mapped(await orNotFound(found), (item) => {
    const [statistics] = (item['stats'] ?? []) as { readonly downloaded?: string }[];
    return {
      uri: storageUri(request.root, item),
      ...(names.includes('created') && { created: item['created'] }),
      ...(names.includes('lastModified') && { lastModified: item['modified'] }),
      ...(names.includes('lastDownloaded') && statistics?.downloaded && { lastDownloaded: statistics.downloaded }),
    };
  });
  return results(answer, rows);
}

async function byUsage(searches: Searches, request: ApiRequest): Promise<Reply> {
  const unused = time(request, 'notUsedSince');
  if (unused === undefined) {
    throw new AppError('invalid', 'The parameter "notUsedSince" is missing: milliseconds since 1970 are needed.');
  }
  const created = time(request, 'createdBefore') ?? unused;
  const notSince = (name: string): Criterion => ({
    kind: 'any',
    of: [field(name, 'eq', null), field(name, 'lt', unused)],
  });
  const scope = requestScope(searches, request);
  const found = await findItems(searches, request, scope, {
    where: {
      kind: 'all',
      of: [field('created', 'lt', created), notSince('stat.downloaded'), notSince('stat.remote_downloaded')],
    },
    includes: [
      { link: 'stat', fields: ['downloads', 'downloaded', 'remote_downloads', 'remote_downloaded'], includes: [] },
    ],
  });
  const rows = mapped(await orNotFound(found), (item) => {
    const [statistics = {}] = (item['stats'] ?? []) as Record<string, unknown>[];
    return {
      uri: storageUri(request.root, item),
      downloadCount: statistics['downloads'] ?? 0,
      lastDownloaded: statistics['downloaded'] ?? NEVER,
      remoteDownloadCount: statistics['remote_downloads'] ?? 0,
      remoteLastDownloaded: statistics['remote_downloaded'] ?? NEVER,
    };
  });
  return results('ArtifactUsage', rows);
}

/** Milliseconds since 1970; undefined when the parameter is missing. */
function time(request: ApiRequest, name: string): number | undefined {
  const text = parameter(request, name);
  if (text === undefined) return undefined;
  const ms = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(ms <= 8.64e15)) {
    throw new AppError('invalid', `"${clip(text)}" is no time for "${name}": milliseconds since 1970 are needed.`);
  }
  return ms;
}

/** Files whose client did not say what their checksum is, or said something else. */
async function badChecksums(searches: Searches, request: ApiRequest): Promise<Reply> {
  const type = parameter(request, 'type');
  if (type === undefined) throw new AppError('invalid', 'No checksum type defined');
  if (!Object.hasOwn(LENGTHS, type)) throw new AppError('invalid', `Checksum type: ${clip(type)} is not defined`);
  const word = `${type[0]?.toUpperCase()}${type.slice(1)}`;
  // Every file is kept under its SHA-256, so what clients say of it is verified or the file refused.
  if (type === 'sha256') return typed('search.BadChecksumResult', { results: [], limitReached: false });
  const scope = requestScope(searches, request);
  const found = await findItems(searches, request, scope, {
    where: { kind: 'all', of: [] },
    fields: [`actual_${type}`, `original_${type}`],
  });
  let count = 0;
  let reached = false;
  async function* bad() {
    for await (const item of found) {
      const [server, client] = [item[`actual_${type}`], item[`original_${type}`]];
      if (server === client) continue;
      if (count === MAX_BAD) {
        reached = true;
        break;
      }
      count += 1;
      yield {
        uri: storageUri(request.root, item),
        [`server${word}`]: server ?? '',
        [`client${word}`]: client ?? '',
      };
    }
  }
  async function* pieces() {
    yield* listed('{"results":[', bad(), `],"limitReached":`);
    yield `${reached}}`;
  }
  return { ...results('BadChecksum', bad()), pieces: pieces() };
}
