/** Criteria as conditions on rows. */

import { isEverything } from '../../core/read-rule.ts';
import { byId } from './access.ts';
import type { Comparison, Criterion, SearchScope, Value } from './criteria.ts';
import { type Domain, domainOf, type Field, type Link } from './domains.ts';
import { all, any, concat, type DialectName, FALSE, type Fragment, not, raw, TRUE, wrap } from './fragment.ts';
import { compare, holds } from './predicate.ts';
import { among, readableBuild, readableItem } from './rights.ts';

export interface WhereContext {
  readonly dialect: DialectName;
  readonly scope: SearchScope;
  /** A name for a table that no other has. */
  alias(): string;
  /** Whether rows reached by links are collected first instead of being looked up for each row. */
  readonly collects?: boolean;
}

type Of<K extends Criterion['kind']> = Extract<Criterion, { readonly kind: K }>;

/** The row with this alias fulfils the criterion. */
export function where(criterion: Criterion, domain: Domain, alias: string, context: WhereContext): Fragment {
  switch (criterion.kind) {
    case 'all':
      return all(conjuncts(criterion, domain, alias, context));
    case 'any':
      return anyOf(criterion.of, domain, alias, context);
    case 'same':
      return sameRow(criterion, domain, alias, context);
    case 'field':
      return fieldCondition(criterion, domain, alias, context);
    case 'property':
      return propertyCondition(criterion, domain, alias, context);
  }
}

/** The parts of an `all` in the form in which each can be checked by itself. */
export function conjuncts(criterion: Criterion, domain: Domain, alias: string, context: WhereContext): Fragment[] {
  return groups(criterion).map((each) =>
    each.link === undefined
      ? where(each.criterion, domain, alias, context)
      : linked(domain, alias, each.link, context, { criterion: each.criterion }),
  );
}

export type Group =
  | { readonly link: undefined; readonly criterion: Criterion }
  /** What one and the same row at the other end of the link has to fulfil. */
  | { readonly link: string; readonly criterion: Criterion };

/** Splits an `all` into what concerns the row itself and what concerns rows reached by one link. */
export function groups(criterion: Criterion): readonly Group[] {
  const found: Group[] = [];
  const byLink = new Map<string, Criterion[]>();
  for (const part of flatten(criterion)) {
    const link = soleLink(part);
    if (link === undefined) found.push({ link, criterion: part });
    else byLink.set(link, [...(byLink.get(link) ?? []), behind(part)]);
  }
  for (const [link, of] of byLink) {
    // Two keys cannot be one row's: then each part is about a row of its own.
    if (of.filter(isKeyEquality).length > 1) found.push(...of.map((one) => ({ link, criterion: one })));
    else found.push({ link, criterion: of.length === 1 ? (of[0] as Criterion) : { kind: 'all', of } });
  }
  return found;
}

function isKeyEquality(criterion: Criterion): boolean {
  return (
    criterion.kind === 'field' && criterion.field === 'key' && criterion.op === 'eq' && criterion.links.length === 0
  );
}

export function flatten(criterion: Criterion): readonly Criterion[] {
  if (criterion.kind === 'any' && criterion.of.length === 1) return flatten(criterion.of[0] as Criterion);
  return criterion.kind === 'all' ? criterion.of.flatMap((one) => flatten(one)) : [criterion];
}

/** The link by which all parts of the criterion lead away, where they do and mean to share what they find. */
function soleLink(criterion: Criterion): string | undefined {
  switch (criterion.kind) {
    case 'field':
      return isAbsence(criterion) ? undefined : criterion.links[0];
    case 'property':
      return criterion.links.length > 1 ? criterion.links[0] : undefined;
    case 'same':
      return undefined;
    case 'all':
    case 'any': {
      const [first, ...rest] = criterion.of.map((one) => soleLink(one));
      return first !== undefined && rest.every((one) => one === first) ? first : undefined;
    }
  }
}

function behind(criterion: Criterion): Criterion {
  if (criterion.kind === 'field' || criterion.kind === 'property') {
    return { ...criterion, links: criterion.links.slice(1) };
  }
  return { ...criterion, of: criterion.of.map((one) => behind(one)) };
}

/** Whether it asks for the absence of rows: of any value, or of a property of this kind. */
function isAbsence(criterion: Of<'field'>): boolean {
  if (criterion.links.length === 0) return false;
  if (criterion.op === 'eq' && criterion.value === null) return true;
  return isNegative(criterion.op) && criterion.value !== null && criterion.links.at(-1) === 'property';
}

function isNegative(op: Comparison): boolean {
  return op === 'ne' || op === 'nmatch';
}

function positive(op: Comparison): Comparison {
  return op === 'ne' ? 'eq' : op === 'nmatch' ? 'match' : op;
}

function fieldCondition(criterion: Of<'field'>, domain: Domain, alias: string, context: WhereContext): Fragment {
  const [link, ...rest] = criterion.links;
  if (link === undefined) return ownField(domain, criterion, alias, context);
  if (!isAbsence(criterion)) return linked(domain, alias, link, context, { criterion: behind(criterion) });
  const present: Criterion =
    criterion.value === null
      ? { ...criterion, links: rest, op: 'ne' }
      : { ...criterion, links: rest, op: positive(criterion.op) };
  return not(linked(domain, alias, link, context, { criterion: present }));
}

function propertyCondition(criterion: Of<'property'>, domain: Domain, alias: string, context: WhereContext): Fragment {
  const [link, ...rest] = criterion.links;
  if (link === undefined) throw new Error('a property is reached by a link');
  if (rest.length > 0) return linked(domain, alias, link, context, { criterion: behind(criterion) });
  const { key, value } = criterion;
  const absent = value === null ? criterion.op === 'eq' : isNegative(criterion.op);
  const op: Comparison = value === null ? 'ne' : positive(criterion.op);
  const present = linked(domain, alias, link, context, { row: (child) => keyAndValue(child, key, op, value, context) });
  return absent ? not(present) : present;
}

/** A row of keys and values has this key and such a value. A single `*` stands for any value. */
function keyAndValue(
  alias: string,
  key: string | undefined,
  op: Comparison,
  value: Value,
  { dialect }: WhereContext,
): Fragment {
  const anyValue = value === null ? op === 'ne' : op === 'eq' && value === '*';
  const column = { expression: `${alias}.value`, type: 'string', isNullable: false } as const;
  const impossible = key !== undefined && (key.includes('\0') || !key.isWellFormed());
  return all([
    key === undefined ? TRUE : impossible ? FALSE : raw(`${alias}.key = ?`, key),
    anyValue ? TRUE : compare(column, op, typeof value === 'number' ? String(value) : value, dialect),
  ]);
}

/** `$msp`: everything is about one row of the properties. */
function sameRow(criterion: Of<'same'>, domain: Domain, alias: string, context: WhereContext): Fragment {
  const [link, ...rest] = leafLinks(criterion);
  if (link === undefined) return all(criterion.of.map((one) => where(one, domain, alias, context)));
  if (rest.length > 0) {
    return linked(domain, alias, link, context, { criterion: behind(criterion) });
  }
  return linked(domain, alias, link, context, {
    row: (child) => all(criterion.of.map((one) => rowOf(one, child, domain, context))),
  });
}

/** The links of the first leaf: what stands in one `$msp` leads to one place. */
function leafLinks(criterion: Criterion): readonly string[] {
  if (criterion.kind === 'field' || criterion.kind === 'property') return criterion.links;
  for (const one of criterion.of) {
    const found = leafLinks(one);
    if (found.length > 0) return found;
  }
  return [];
}

/** A condition on the very row of properties that has the alias. */
export function rowOf(criterion: Criterion, child: string, domain: Domain, context: WhereContext): Fragment {
  switch (criterion.kind) {
    case 'all':
    case 'same':
      return all(criterion.of.map((one) => rowOf(one, child, domain, context)));
    case 'any':
      return any(criterion.of.map((one) => rowOf(one, child, domain, context)));
    case 'property':
      return keyAndValue(child, criterion.key, criterion.op, criterion.value, context);
    case 'field': {
      const target = linkOf(domain, criterion.links[0]);
      return ownField(domainOf(target.to), { ...criterion, links: [] }, child, context);
    }
  }
}

function linkOf(domain: Domain, name: string | undefined): Link {
  const link = domain.links.get(name ?? '');
  if (!link) throw new Error(`nothing leads from ${domain.name} by "${name}"`);
  return link;
}

interface Target {
  readonly criterion?: Criterion;
  row?(child: string): Fragment;
}

/** Some row that the link leads to, and that the caller may know of, fulfils the criterion. */
function linked(domain: Domain, alias: string, name: string, context: WhereContext, target: Target): Fragment {
  const link = linkOf(domain, name);
  const gate = described(domain, alias, name, context);
  if (gate !== TRUE) return all([gate, reachable(alias, link, context, target)]);
  return reachable(alias, link, context, target);
}

/** A folder may be seen for what is below it; what describes it may be known only to those who may read it itself. */
function described(domain: Domain, alias: string, name: string, { scope, dialect }: WhereContext): Fragment {
  if (domain.name !== 'item' || (name !== 'property' && name !== 'stat')) return TRUE;
  const repositories = [...scope.repositories.values()];
  if (repositories.every(({ rule }) => isEverything(rule))) return TRUE;
  return any([raw(`${alias}.folder = 0`), readableItem(alias, repositories, dialect, { asFile: true })]);
}

function reachable(alias: string, link: Link, context: WhereContext, target: Target): Fragment {
  const [first] = link.branches;
  const column = first?.direct.column;
  const isOneColumn = link.branches.every(({ direct }) => direct.column === column && !direct.when);
  // Collected first, so that the search can begin with them; with several branches PostgreSQL finds no other way.
  if (isOneColumn && (context.collects || (context.dialect === 'postgres' && link.branches.length > 1))) {
    return wrap(`${alias}.${column} in (`, reached(link, context, target), ')');
  }
  return any(
    link.branches.map(({ direct }) => {
      const [child, helper] = [context.alias(), context.alias()];
      const inner = all([
        raw(`${direct.key(child, helper)} = ${alias}.${direct.column}`),
        direct.when ? raw(direct.when(alias)) : TRUE,
        fulfils(link, child, context, target),
      ]);
      return wrap(`exists (select 1 from ${direct.from(child, helper)} where `, inner, ')');
    }),
  );
}

/** What the column of the first row has to be for the link to lead to a row that fulfils the criterion. */
function reached(link: Link, context: WhereContext, target: Target, extra?: (key: string) => Fragment): Fragment {
  const branches = link.branches.map(({ direct }) => {
    const [child, helper] = [context.alias(), context.alias()];
    const key = direct.key(child, helper);
    const inner = all([fulfils(link, child, context, target), ...(extra ? [extra(key)] : [])]);
    return wrap(`select ${key} from ${direct.from(child, helper)} where `, inner, '');
  });
  return concat(branches, ' union all ');
}

function fulfils(link: Link, child: string, context: WhereContext, { criterion, row }: Target): Fragment {
  const to = domainOf(link.to);
  return all([
    row ? row(child) : TRUE,
    criterion ? where(criterion, to, child, context) : TRUE,
    visibleRow(to, child, context, link),
  ]);
}

/** The condition as a search to begin with: which rows it is true for, without looking at each. */
export function driving(group: Group, domain: Domain, alias: string, context: WhereContext): Fragment | undefined {
  const heartbeat = (key: string) => raw(stillWanted(key));
  const collecting = { ...context, collects: true };
  const form = drivingTarget(group, collecting);
  if (!form) return undefined;
  const link = linkOf(domain, form.link);
  const inner = reached(link, collecting, form.target, heartbeat);
  return wrap(`${alias}.${link.branches[0]?.direct.column} in (`, inner, ')');
}

/** Lets SQLite be interrupted; asked for few of the rows, since each question costs a call. */
export function stillWanted(key: string): string {
  return `((${key} & 15) <> 0 or still_wanted())`;
}

/** The bare select behind `driving`, to be counted. */
export function drivingRows(group: Group, domain: Domain, context: WhereContext): Fragment | undefined {
  const collecting = { ...context, collects: true };
  const form = drivingTarget(group, collecting);
  return form && reached(linkOf(domain, form.link), collecting, form.target);
}

function drivingTarget(
  group: Group,
  context: WhereContext,
): { readonly link: string; readonly target: Target } | undefined {
  if (group.link !== undefined) return { link: group.link, target: { criterion: group.criterion } };
  const { criterion } = group;
  if (criterion.kind !== 'property') return undefined;
  const { links, key, op, value } = criterion;
  const [link] = links;
  if (link === undefined || links.length > 1 || key === undefined || value === null || isNegative(op)) return undefined;
  return { link, target: { row: (child) => keyAndValue(child, key, op, value, context) } };
}

/** What the caller may see of the rows with this alias, reached by the link if by one. */
export function visibleRow(domain: Domain, alias: string, context: WhereContext, link?: Link): Fragment {
  const { scope } = context;
  switch (domain.name) {
    case 'item': {
      // Who comes from what describes an item must be allowed to read the item itself.
      const asFile = link?.describes === true;
      return readableItem(alias, [...scope.repositories.values()], context.dialect, { asFile });
    }
    case 'build':
      return scope.everyBuild ? TRUE : readableBuild(alias, context.alias(), scope, context.dialect);
    case 'module':
      return buildOf(`${alias}.build_id`, context);
    case 'artifact':
    case 'dependency': {
      if (scope.everyBuild) return TRUE;
      const m = context.alias();
      return wrap(
        `exists (select 1 from build_module ${m} where ${m}.id = ${alias}.module_id and `,
        buildOf(`${m}.build_id`, context),
        ')',
      );
    }
    default:
      return TRUE;
  }
}

function buildOf(column: string, context: WhereContext): Fragment {
  if (context.scope.everyBuild) return TRUE;
  const b = context.alias();
  const readable = readableBuild(b, context.alias(), context.scope, context.dialect);
  return wrap(`exists (select 1 from build ${b} where ${b}.id = ${column} and `, readable, ')');
}

function ownField(domain: Domain, criterion: Of<'field'>, alias: string, context: WhereContext): Fragment {
  const field = domain.fields.get(criterion.field);
  if (!field) throw new Error(`${domain.name} has no field "${criterion.field}"`);
  const { op, value } = criterion;
  if (field.type === 'repo') return repositoryCondition(alias, op, value, context.scope);
  if (field.type === 'type') return typeCondition(field.column(alias), op, value);
  if (field.type === 'computed') {
    if (field.name === 'virtual_repos') return repositoryCondition(alias, op, value, context.scope);
    throw new Error(`nothing can be asked about "${field.name}"`);
  }
  const special = byId(field, alias, op, value);
  return special ?? compare(columnOf(field, alias, value), op, value, context.dialect);
}

function columnOf(field: Field, alias: string, value: Value) {
  const expression = field.column(alias);
  if (value === null && field.isZeroNothing) {
    return { expression: `nullif(${expression}, 0)`, type: field.type, isNullable: true };
  }
  return { expression, type: field.type, isNullable: field.isNullable };
}

/** Repositories are few and known here: which of them the comparison names is decided before the search. */
function repositoryCondition(alias: string, op: Comparison, value: Value, scope: SearchScope): Fragment {
  const ids = repositoriesWhere(op, value, scope);
  return ids.length === scope.repositories.size ? TRUE : among(`${alias}.repo_id`, ids);
}

/** The ids of the repositories for which the comparison holds. */
export function repositoriesWhere(op: Comparison, value: Value, scope: SearchScope): readonly number[] {
  const all = [...scope.repositories.keys()];
  const named = typeof value === 'string' && (op === 'eq' || op === 'ne' || op === 'match' || op === 'nmatch');
  if (!named) return all.filter((id) => holds(op, scope.nameOf(id), value));
  const expanded = new Set(scope.expand(value));
  const wanted = positive(op);
  return all.filter((id) => (expanded.has(id) || holds(wanted, scope.nameOf(id), value)) !== isNegative(op));
}

function typeCondition(column: string, op: Comparison, value: Value): Fragment {
  if (value === 'any' && (op === 'eq' || op === 'match')) return TRUE;
  const [file, folder] = [holds(op, 'file', value), holds(op, 'folder', value)];
  if (file && folder) return TRUE;
  if (!file && !folder) return FALSE;
  return raw(`${column} = ${folder ? 1 : 0}`);
}

/** Branches that each name one place become one look-up in a list of places. */
function anyOf(of: readonly Criterion[], domain: Domain, alias: string, context: WhereContext): Fragment {
  const places = domain.name === 'item' ? of.map((one) => placeOf(one, context.scope)) : [];
  const shape = places[0]?.shape;
  if (of.length < 2 || shape === undefined || places.some((place) => place?.shape !== shape)) {
    return any(of.map((one) => where(one, domain, alias, context)));
  }
  const rows = places.flatMap((place) => place?.rows ?? []);
  if (rows.length === 0) return FALSE;
  const columns = shape.split(',').map((column) => `${alias}.${column}`);
  const values = rows.map((row) => wrap('(', concat(row, ', '), ')'));
  return wrap(`(${columns.join(', ')}) in (values `, concat(values, ', '), ')');
}

interface Place {
  /** Columns, in this order. */
  readonly shape: string;
  readonly rows: readonly (readonly Fragment[])[];
}

function placeOf(criterion: Criterion, scope: SearchScope): Place | undefined {
  let repositories: readonly number[] | undefined;
  let path: string | undefined;
  let name: string | undefined;
  for (const one of flatten(criterion)) {
    if (one.kind !== 'field' || one.links.length > 0 || one.op !== 'eq' || typeof one.value !== 'string')
      return undefined;
    if (one.value.includes('\0') || !one.value.isWellFormed()) return undefined;
    if (one.field === 'repo' && repositories === undefined) repositories = repositoriesWhere('eq', one.value, scope);
    else if (one.field === 'path' && path === undefined && one.value !== '') path = one.value === '.' ? '' : one.value;
    else if (one.field === 'name' && name === undefined) name = one.value;
    else return undefined;
  }
  if (path === undefined || name === undefined) return undefined;
  const tail = [raw('?', path), raw('?', name)];
  if (repositories === undefined) return { shape: 'parent,name', rows: [tail] };
  return { shape: 'repo_id,parent,name', rows: repositories.map((id) => [raw(String(id)), ...tail]) };
}
