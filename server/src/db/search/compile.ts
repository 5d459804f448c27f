/** A search as statements: the ways to find its rows, and what is to be looked up for each batch of them. */
import type { SearchableRepository } from '../../core/read-rule.ts';
import type { Comparison, Criterion, Include, Search, SortField } from './criteria.ts';
import { type Domain, domainOf, type Field, TOWARDS_BUILD, TOWARDS_ITEM } from './domains.ts';
import {
  all,
  any,
  concat,
  type DialectName,
  type Fragment,
  type Parameter,
  raw,
  render,
  TRUE,
  wrap,
} from './fragment.ts';
import { matches } from './predicate.ts';
import { among, readableItem } from './rights.ts';
import {
  driving,
  drivingRows,
  flatten,
  type Group,
  groups,
  repositoriesWhere,
  rowOf,
  stillWanted,
  visibleRow,
  type WhereContext,
  where,
} from './where.ts';

export interface Statement {
  readonly sql: string;
  readonly params: readonly Parameter[];
}

/** One way to find the rows; `probe` lists what it begins with, to be counted up to a limit. */
export interface Alternative {
  readonly probe: Statement | undefined;
  readonly statement: Statement;
}

/** Looks up rows for a batch: the first parameter is the list of the idents of the rows it belongs to. */
export interface Lookup {
  /** Index of the lookup whose rows it belongs to; -1 for the rows of the search itself. */
  readonly parent: number;
  readonly statement: Statement;
  readonly shape: Shape;
  /** How answers name the list; undefined for the checksums of items. */
  readonly list: string | undefined;
}

/** What the columns of a row are. The first is its ident; those of a lookup follow the ident of the row above. */
export interface Shape {
  readonly domain: Domain;
  readonly fields: readonly Field[];
}

export interface CompiledSearch {
  readonly shape: Shape;
  readonly alternatives: readonly Alternative[];
  /** Follows the order that is asked for, for when every other way begins with too much. */
  readonly ordered: Statement | undefined;
  readonly lookups: readonly Lookup[];
  readonly repositories: readonly SearchableRepository[];
}

/** What every row of items has besides its fields, in front of them. */
export const ITEM_COLUMNS = ['id', 'repo_id', 'parent', 'name', 'folder', 'sha256'] as const;
const MAIN = 'i';
const ROOTS = `(select -r.id as id, r.id as repo_id, '' as parent, '.' as name, 1 as folder, cast(null as text) as sha256,
  0 as size, r.created_at, '_system_' as created_by, r.created_at as modified_at, '_system_' as modified_by,
  cast(null as text) as original_sha1, cast(null as text) as original_md5, cast(null as text) as media_type from repository r)`;
/** Fields of items by whose order an index can be read. */
const ORDERED = new Set(['created', 'modified', 'updated', 'name']);

export function compileSearch(search: Search, dialect: DialectName): CompiledSearch {
  const domain = domainOf(search.domain);
  const context = contextOf(search, dialect);
  const shape = shapeOf(domain, search.fields);
  const parts = groups(search.where);
  const conditions = parts.map((part) => checking(part, domain, context));
  const visible = visibleRoot(domain, search, parts, context);
  const lookups: Lookup[] = [];
  addLookups(lookups, { parent: -1, shape }, search, domain, context);
  const build = (condition: Fragment, neutral: boolean) => {
    const order = orderOf(search, domain, context);
    return render(statement(search, shape, condition, neutral ? neutralised(order) : order, context), dialect);
  };
  const heartbeat = dialect === 'sqlite' ? raw(stillWanted(`${MAIN}.${domain.ident}`)) : TRUE;
  const plain = { probe: undefined, statement: build(all([...conditions, visible, heartbeat]), false) };
  const candidates =
    dialect === 'sqlite' && domain.name === 'item' ? candidatesOf(search, parts, conditions, context) : [];
  const [first] = search.sort;
  const inOrder =
    candidates.length > 0 &&
    first &&
    first.links.length === 0 &&
    ORDERED.has(first.field) &&
    search.limit !== undefined;
  return {
    shape,
    alternatives:
      candidates.length === 0
        ? [plain]
        : candidates.map(({ rows, condition }) => ({
            probe: rows && render(rows, dialect),
            statement: build(all([condition, neutralised(all([...conditions, visible])), heartbeat]), true),
          })),
    ordered: inOrder ? build(all([neutralised(all([...conditions, visible])), heartbeat]), false) : undefined,
    lookups,
    repositories: search.scope.readable,
  };
}

function contextOf({ scope }: Search, dialect: DialectName): WhereContext {
  let n = 0;
  return {
    scope,
    dialect,
    alias: () => `t${++n}`,
  };
}

function shapeOf(domain: Domain, names: readonly string[]): Shape {
  const fields = names.map((name) => {
    const field = domain.fields.get(name);
    if (!field) throw new Error(`${domain.name} has no field "${name}"`);
    return field;
  });
  return { domain, fields };
}

/** Checksums lie elsewhere and are looked up for the rows of the answer only. */
function columnsOf({ domain, fields }: Shape, alias: string): string[] {
  const own = fields.map((field) => (isSum(field) || field.type === 'computed' ? 'null' : field.column(alias)));
  const before = domain.name === 'item' ? ITEM_COLUMNS : [domain.ident];
  return [...before.map((column) => `${alias}.${column}`), ...own];
}

function isSum(field: Field): boolean {
  return field.name === 'actual_sha1' || field.name === 'actual_md5';
}

function checking(part: Group, domain: Domain, context: WhereContext): Fragment {
  const criterion: Criterion = part.link === undefined ? part.criterion : ahead(part.link, part.criterion);
  return where(criterion, domain, MAIN, context);
}

/** Puts the link in front of every path again. */
function ahead(link: string, criterion: Criterion): Criterion {
  if (criterion.kind === 'field' || criterion.kind === 'property') {
    return { ...criterion, links: [link, ...criterion.links] };
  }
  return { ...criterion, of: criterion.of.map((one) => ahead(link, one)) };
}

/** What the caller may see of the main rows, with the repositories that the search names. */
function visibleRoot(domain: Domain, search: Search, parts: readonly Group[], context: WhereContext): Fragment {
  if (domain.name === 'item') {
    return readableItem(MAIN, namedRepositories(search, parts), context.dialect);
  }
  const link = TOWARDS_ITEM[domain.name];
  if (link !== undefined) {
    const path = link === 'archive' ? ['archive', 'item'] : [link];
    // Visible is what describes, or lies in, some item that the caller may read.
    const seen: Criterion = { kind: 'field', links: path, field: 'id', op: 'ne', value: null };
    return where(seen, domain, MAIN, context);
  }
  const towards = TOWARDS_BUILD[domain.name];
  if (towards === undefined || domain.name === 'artifact' || domain.name === 'dependency' || domain.name === 'module') {
    return visibleRow(domain, MAIN, context);
  }
  return where({ kind: 'field', links: [towards], field: 'id', op: 'ne', value: null }, domain, MAIN, context);
}

function namedRepositories(search: Search, parts: readonly Group[]): readonly SearchableRepository[] {
  let ids: readonly number[] = [...search.scope.repositories.keys()];
  for (const { link, criterion } of parts) {
    if (link !== undefined || criterion.kind !== 'field' || criterion.field !== 'repo' || criterion.links.length > 0)
      continue;
    const named = new Set(repositoriesWhere(criterion.op, criterion.value, search.scope));
    ids = ids.filter((id) => named.has(id));
  }
  return ids.flatMap((id) => search.scope.repositories.get(id) ?? []);
}

function statement(
  search: Search,
  shape: Shape,
  condition: Fragment,
  order: Fragment | undefined,
  context: WhereContext,
): Fragment {
  const { domain } = shape;
  const select = columnsOf(shape, MAIN).join(', ');
  const joins = search.sort.some(({ links }) => links[0] === 'stat')
    ? ` left join statistic s on s.node_id = ${MAIN}.id`
    : '';
  const page = `${search.limit === undefined ? (search.offset > 0 && context.dialect === 'sqlite' ? ' limit -1' : '') : ` limit ${search.limit}`}${search.offset > 0 ? ` offset ${search.offset}` : ''}`;
  const from = (table: string) => wrap(`select ${select} from ${table} ${MAIN}${joins} where `, condition, '');
  const ordered =
    order ?? (search.offset > 0 ? raw(domain.order.map((column) => `${MAIN}.${column}`).join(', ')) : undefined);
  if (domain.name !== 'item' || !rootMayMatch(search.where)) {
    return concat([from(domain.table), ...(ordered ? [wrap(' order by ', ordered, '')] : []), raw(page)], '');
  }
  // The top folders of repositories have no row of their own.
  const rows = (table: string) =>
    wrap(`select ${select}${sortColumns(search, shape.domain)} from ${table} ${MAIN}${joins} where `, condition, '');
  const both = concat([rows(domain.table), rows(ROOTS)], ' union all ');
  return concat([both, raw(unionOrder(search, columnsOf(shape, MAIN).length)), raw(page)], '');
}

function sortColumns(search: Search, domain: Domain): string {
  return sortTerms(search, domain)
    .map(({ expression }) => `, ${expression}`)
    .join('');
}

function unionOrder(search: Search, width: number): string {
  if (search.sort.length === 0) return search.offset > 0 ? ' order by 1' : '';
  const last = search.sort.at(-1)?.descending ? ' desc' : '';
  const terms = search.sort.map(
    ({ descending }, i) => `${width + i + 1}${descending ? ' desc nulls last' : ' nulls first'}`,
  );
  return ` order by ${terms.join(', ')}, 1${last}`;
}

function sortTerms(
  { sort }: Search,
  domain: Domain,
): { readonly expression: string; readonly nullable: boolean; readonly descending: boolean }[] {
  return sort.map((term) => ({ ...sortTerm(term, domain), descending: term.descending }));
}

function sortTerm({ links, field: name }: SortField, domain: Domain) {
  const isStat = links[0] === 'stat';
  const field = (isStat ? domainOf('stat') : domain).fields.get(name);
  if (!field) throw new Error(`nothing can be sorted by "${name}"`);
  const expression =
    field.type === 'repo'
      ? `(select r.key from repository r where r.id = ${MAIN}.repo_id)`
      : field.column(isStat ? 's' : MAIN);
  return { expression, nullable: isStat || field.isNullable };
}

function orderOf(search: Search, domain: Domain, _context: WhereContext): Fragment | undefined {
  if (search.sort.length === 0) return undefined;
  const terms = sortTerms(search, domain).map(({ expression, nullable, descending }) => {
    const nulls = nullable ? (descending ? ' nulls last' : ' nulls first') : '';
    return `${expression}${descending ? ' desc' : ''}${nulls}`;
  });
  // Rows that are equal in what is sorted by keep their order from page to page.
  const direction = search.sort.at(-1)?.descending ? ' desc' : '';
  return raw([...terms, ...domain.order.map((column) => `${MAIN}.${column}${direction}`)].join(', '));
}

/** Without hints for an index of the main table: for conditions that are to be checked, not searched by. */
function neutralised<T extends Fragment | undefined>(fragment: T): T {
  if (!fragment || fragment === TRUE) return fragment;
  return { ...fragment, text: fragment.text.replace(/(?<![\w.+])i\.(?=[a-z])/g, '+i.') };
}

interface Candidate {
  /** Undefined where there can be few only. */
  readonly rows: Fragment | undefined;
  readonly condition: Fragment;
}

/** The ways in which SQLite, which knows little of how values are spread, can begin. */
function candidatesOf(
  search: Search,
  parts: readonly Group[],
  conditions: readonly Fragment[],
  context: WhereContext,
): Candidate[] {
  const domain = domainOf('item');
  const found: Candidate[] = [];
  for (const part of parts) {
    const condition = driving(part, domain, MAIN, context);
    if (condition) found.push({ rows: drivingRows(part, domain, context), condition });
  }
  const repositories = namedRepositories(search, parts);
  const ids = repositories.map(({ id }) => id);
  const inRepositories = among(`${MAIN}.repo_id`, ids);
  const fieldsOf = (names: readonly string[]) =>
    parts.flatMap(({ link, criterion }, i) =>
      link === undefined &&
      criterion.kind === 'field' &&
      criterion.links.length === 0 &&
      names.includes(criterion.field) &&
      isBounded(criterion.op, criterion.value)
        ? [conditions[i] as Fragment]
        : [],
    );
  const add = (own: readonly Fragment[], few: boolean) => {
    if (own.length === 0) return;
    const condition = all(own);
    found.push({ rows: few ? undefined : wrap(`select 1 from node ${MAIN} where `, condition, ''), condition });
  };
  add(fieldsOf(['sha256', 'actual_sha1', 'actual_md5']), true);
  add(fieldsOf(['id']), true);
  const byPath = fieldsOf(['path']);
  if (byPath.length > 0) add([inRepositories, ...byPath, ...fieldsOf(['name'])], false);
  add(fieldsOf(['name']), false);
  add(fieldsOf(['created']), false);
  add(fieldsOf(['modified', 'updated']), false);
  const places = parts.flatMap(({ link, criterion }, i) =>
    link === undefined && criterion.kind === 'any' && (conditions[i] as Fragment).text.includes(') in (values ')
      ? [conditions[i] as Fragment]
      : [],
  );
  if (places.length > 0) add([inRepositories, ...places], true);
  if (found.length > 0 && ids.length < search.scope.repositories.size) add([inRepositories], false);
  return found;
}

/** Whether an index can find what the comparison is true for. */
function isBounded(op: Comparison, value: unknown): boolean {
  if (value === null || op === 'ne' || op === 'nmatch' || op === 'imatch') return false;
  return op !== 'match' || !/^[*?]/.test(String(value));
}

/** Whether the top folder of some repository could be among the rows. */
function rootMayMatch(criterion: Criterion): boolean {
  let folders = false;
  const visit = (one: Criterion): boolean => {
    switch (one.kind) {
      case 'all':
        return one.of.map(visit).every((each) => each);
      case 'any':
        return one.of.map(visit).some((each) => each);
      case 'same':
        return false;
      case 'property':
        return one.op === 'ne' || one.op === 'nmatch' || one.value === null;
      case 'field':
        break;
    }
    if (one.links.length > 0) return one.value === null || one.op === 'ne' || one.op === 'nmatch';
    if (one.field === 'type') {
      const wanted = one.value === 'any' || one.op !== 'eq' || one.value === 'folder';
      folders ||= wanted;
      return wanted;
    }
    if (one.field !== 'path' && one.field !== 'name') return true;
    if (one.op === 'eq') return one.value === '.';
    if (one.op === 'ne') return one.value !== '.';
    return one.op !== 'match' || matches(String(one.value), '.');
  };
  return visit({ kind: 'all', of: flatten(criterion) }) && folders;
}

/** The lookups for what is shown with each row. */
function addLookups(
  lookups: Lookup[],
  above: { readonly parent: number; readonly shape: Shape },
  shown: { readonly includes: readonly Include[]; readonly where?: Criterion },
  domain: Domain,
  context: WhereContext,
): void {
  if (domain.name === 'item' && above.shape.fields.some(isSum)) {
    const sums = raw(
      'select i.id, h.sha256, h.sha1, h.md5 from node i join blob h on h.sha256 = i.sha256 where i.id in @ids',
    );
    lookups.push({
      parent: above.parent,
      list: undefined,
      shape: above.shape,
      statement: lookup(sums, domain, context),
    });
  }
  for (const include of shown.includes) {
    const link = domain.links.get(include.link);
    if (!link) throw new Error(`nothing leads from ${domain.name} by "${include.link}"`);
    const to = domainOf(link.to);
    const shape = shapeOf(to, include.fields);
    const branches = link.branches.map(({ byIdent }) => {
      const [child, helper] = [context.alias(), context.alias()];
      const key = byIdent.key(child, helper);
      const condition = all([
        raw(`${key} in @ids`),
        visibleRow(to, child, context, link),
        keysAmong(child, include.keys),
        ...(shown.where ? filtersOf(shown.where, include.link, child, domain, context) : []),
      ]);
      return wrap(
        `select ${[key, ...columnsOf(shape, child)].join(', ')} from ${byIdent.from(child, helper)} where `,
        condition,
        '',
      );
    });
    const width = columnsOf(shape, 'x').length;
    const order = Array.from({ length: Math.min(width + 1, 4) }, (_, i) => i + 1).join(', ');
    const rows = concat([concat(branches, ' union all '), raw(` order by ${order}`)], '');
    lookups.push({ parent: above.parent, list: link.list, shape, statement: lookup(rows, domain, context) });
    addLookups(lookups, { parent: lookups.length - 1, shape }, { includes: include.includes }, to, context);
  }
}

function keysAmong(alias: string, keys: readonly string[] | undefined): Fragment {
  if (keys === undefined) return TRUE;
  return any(keys.map((key) => raw(`${alias}.key = ?`, key)));
}

/** `$rf`: only the rows of the properties that the criteria are about. */
function filtersOf(
  criterion: Criterion,
  link: string,
  child: string,
  domain: Domain,
  context: WhereContext,
): Fragment[] {
  if (criterion.kind === 'all') return criterion.of.flatMap((one) => filtersOf(one, link, child, domain, context));
  if (criterion.kind !== 'same' || !criterion.filters) return [];
  const about = criterion.of.filter(
    (one) => (one.kind === 'field' || one.kind === 'property') && one.links[0] === link,
  );
  return about.length === 0 ? [] : [rowOf({ kind: 'all', of: about }, child, domain, context)];
}

/** `@ids` stands for the list of idents, which is the first parameter wherever it occurs. */
function lookup(fragment: Fragment, domain: Domain, { dialect }: WhereContext): Statement {
  let n = 1;
  const isText = domain.ident === 'sha256';
  const among =
    dialect === 'postgres' ? `= any($1::${isText ? 'text' : 'bigint'}[])` : 'in (select value from json_each(?1))';
  const mark = dialect === 'postgres' ? '$' : '?';
  const sql = fragment.text.replace(/\?|in @ids/g, (found) => (found === '?' ? `${mark}${++n}` : among));
  return { sql, params: fragment.params };
}
