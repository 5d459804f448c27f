/** How the searches besides AQL answer: addresses of items, with their details where the client asks for them. */
import { AppError } from '../core/errors.ts';
import { encodePath, joinPath } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import type { Criterion, Include, SortField } from '../db/search/criteria.ts';
import type { CallerScope } from '../search/scope.ts';
import { itemSearch, type Searches } from '../search/searches.ts';
import type { ApiRequest } from './route.ts';

/** More rows are not given to who has no name. */
const ANONYMOUS_LIMIT = 1000;
const INFO_FIELDS = [
  'size',
  'created',
  'created_by',
  'modified',
  'modified_by',
  'updated',
  'actual_sha1',
  'actual_md5',
  'sha256',
  'original_sha1',
  'original_md5',
  'mime_type',
];

export type Item = Record<string, unknown> & { readonly repo: string; readonly path: string; readonly name: string };

export interface ItemQuery {
  readonly where: Criterion;
  readonly fields?: readonly string[];
  readonly includes?: readonly Include[];
  readonly sort?: readonly SortField[];
  readonly limit?: number;
  /** Folders too, not files alone. */
  readonly anyType?: boolean;
}

export function field(
  name: string,
  op: Extract<Criterion, { kind: 'field' }>['op'],
  value: string | number | null,
): Criterion {
  const links = name.split('.');
  const last = links.pop() as string;
  return { kind: 'field', links, field: last, op, value };
}

/** The values of a parameter that holds several, separated by commas. */
export function listParameter(request: ApiRequest<unknown>, name: string): string[] | undefined {
  const text = request.query.getAll(name).join(',');
  const values = text
    .split(',')
    .map((value) => value.trim())
    .filter((value) => value !== '');
  return values.length > 0 ? values : undefined;
}

/** The parameter without spaces around it; undefined when it is empty or missing. */
export function parameter(request: ApiRequest<unknown>, name: string): string | undefined {
  return request.query.get(name)?.trim() || undefined;
}

/** The caller's view, limited to the repositories that the request names. */
export function requestScope(searches: Searches, request: ApiRequest<unknown>): CallerScope {
  const only = listParameter(request, 'repos');
  return searches.scope(request.caller.principal, { withTrash: false, ...(only && { only }) });
}

/** The items found, each with where it lies. */
export async function findItems(
  searches: Searches,
  request: ApiRequest<unknown>,
  scope: CallerScope,
  query: ItemQuery,
): Promise<AsyncGenerator<Item>> {
  const { principal, authenticated } = { ...request.caller };
  const where: Criterion = query.anyType
    ? query.where
    : { kind: 'all', of: [query.where, field('type', 'eq', 'file')] };
  const limit = query.limit ?? (authenticated ? undefined : ANONYMOUS_LIMIT);
  const search = itemSearch({
    where,
    fields: ['repo', 'path', 'name', ...(query.fields ?? [])],
    includes: query.includes ?? [],
    sort: query.sort ?? [],
    limit,
  });
  const rows = await searches.find(search, scope, { principal, signal: request.exchange.signal });
  return rows as AsyncGenerator<Item>;
}

/** What the header `X-Result-Detail` asks for. */
export function detailOf(request: ApiRequest<unknown>): {
  readonly fields: string[];
  readonly includes: Include[];
  readonly info: boolean;
  readonly properties: boolean;
} {
  const header = request.exchange.request.headers['x-result-detail'];
  const words = String(header ?? '')
    .toLowerCase()
    .split(/[\s,]+/);
  const [info, properties] = [words.includes('info'), words.includes('properties')];
  return {
    info,
    properties,
    fields: info ? INFO_FIELDS : [],
    includes: properties ? [{ link: 'property', fields: ['key', 'value'], includes: [] }] : [],
  };
}

export function pathOf({ path, name }: Item): string {
  return joinPath(path === '.' ? '' : path, name === '.' ? '' : name);
}

export function storageUri(root: string, item: Item): string {
  return `${root}/api/storage/${encoded(item)}`;
}

export function downloadUri(root: string, item: Item): string {
  return `${root}/${encoded(item)}`;
}

function encoded(item: Item): string {
  return encodePath(joinPath(item.repo, pathOf(item)));
}

/** The row with as much as was asked for. */
export function renderItem(root: string, item: Item, detail: ReturnType<typeof detailOf>): Record<string, unknown> {
  const uri = storageUri(root, item);
  const properties = detail.properties ? { properties: propertiesOf(item) } : {};
  if (!detail.info) return { uri, ...properties };
  const { actual_sha1: sha1, actual_md5: md5, sha256, original_sha1, original_md5 } = item;
  return {
    repo: item.repo,
    path: `/${pathOf(item)}`,
    created: item['created'],
    createdBy: item['created_by'],
    lastModified: item['modified'],
    modifiedBy: item['modified_by'],
    lastUpdated: item['updated'],
    ...(sha256 !== undefined && {
      downloadUri: downloadUri(root, item),
      mimeType: item['mime_type'],
      size: String(item['size']),
      checksums: { sha1, md5, sha256 },
      originalChecksums: {
        ...(original_sha1 !== undefined && { sha1: original_sha1 }),
        ...(original_md5 !== undefined && { md5: original_md5 }),
        sha256,
      },
    }),
    ...properties,
    uri,
  };
}

export function propertiesOf(item: Item): Record<string, string[]> {
  const found: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  for (const { key, value } of (item['properties'] ?? []) as { key: string; value: string }[]) {
    found[key] = [...(found[key] ?? []), value];
  }
  return { ...found };
}

/** A search's answer, sent while it is found. */
export function results(name: string, rows: AsyncIterable<unknown>): Reply {
  return {
    status: 200,
    pieces: listed('{"results":[', rows, ']}'),
    headers: {
      'Content-Type': `application/vnd.org.jfrog.artifactory.search.${name}Result+json`,
      'Cache-Control': 'no-store',
    },
  };
}

export async function* listed(before: string, rows: AsyncIterable<unknown>, after: string): AsyncGenerator<string> {
  yield before;
  let first = true;
  for await (const row of rows) {
    yield `${first ? '' : ','}${JSON.stringify(row)}`;
    first = false;
  }
  yield after;
}

export async function* mapped<T, U>(items: AsyncIterable<T>, map: (item: T) => U | undefined): AsyncGenerator<U> {
  for await (const item of items) {
    const made = map(item);
    if (made !== undefined) yield made;
  }
}

/** The rows, or the answer that there are none, for searches that treat this as a miss. */
export async function orNotFound<T>(
  rows: AsyncGenerator<T>,
  message = 'No results found.',
): Promise<AsyncGenerator<T>> {
  const first = await rows.next();
  if (first.done) throw new AppError('not_found', message);
  return (async function* () {
    try {
      yield first.value;
      yield* rows;
    } finally {
      await rows.return(undefined);
    }
  })();
}
