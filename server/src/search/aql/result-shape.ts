/** What `include` and `sort` ask for: the fields of the answer's rows and the lists within them. */
import type { Include, SortField } from '../../db/search/criteria.ts';
import { type Domain, domainOf } from '../../db/search/domains.ts';
import { resolveName } from './names.ts';
import type { AqlQuery } from './parse.ts';

export interface ResultShape {
  readonly fields: readonly string[];
  readonly includes: readonly Include[];
  readonly sort: readonly SortField[];
}

/** Domains whose numbers mean nothing to clients: `*` shows what is shown by default. */
const PLAIN = new Set(['property', 'moduleProperty', 'buildProperty']);

interface Draft {
  readonly link: string;
  readonly domain: Domain;
  readonly fields: Set<string>;
  keys: Set<string> | undefined;
  readonly includes: Map<string, Draft>;
}

/** `invalid` when something is included that does not exist, or sorted by what is not in the rows. */
export function resultShape(query: AqlQuery): ResultShape {
  const { domain } = query;
  const main: Draft = { link: '', domain, fields: new Set(), keys: undefined, includes: new Map() };
  for (const name of query.include ?? []) {
    if (!include(main, name)) throw query.failure(`"${name}" cannot be included`);
  }
  const fields = main.fields.size > 0 ? [...main.fields] : defaultsOf(domain);
  const includes = [...main.includes.values()].map(finished);
  return { fields, includes, sort: sortOf(query, fields, includes) };
}

function include(main: Draft, name: string): boolean {
  const named = resolveName(main.domain, name);
  if (!named) return false;
  let draft = main;
  for (const link of named.links) draft = step(draft, link);
  if (named.key !== undefined) {
    const { properties } = named.domain;
    if (properties === undefined) return false;
    const isNew = !draft.includes.has(properties);
    draft = step(draft, properties);
    for (const field of defaultsOf(draft.domain)) draft.fields.add(field);
    if (named.key === '*') draft.keys = undefined;
    else if (isNew) draft.keys = new Set([named.key]);
    else draft.keys?.add(named.key);
    return true;
  }
  if (draft === main && named.field === undefined) {
    for (const field of allOf(named.domain)) draft.fields.add(field);
    return true;
  }
  if (named.field === '*') for (const field of allOf(named.domain)) draft.fields.add(field);
  else if (named.field === undefined) for (const field of defaultsOf(named.domain)) draft.fields.add(field);
  else draft.fields.add(named.field);
  if (draft !== main) draft.keys = undefined;
  return true;
}

function step(draft: Draft, link: string): Draft {
  const known = draft.includes.get(link);
  if (known) return known;
  const to = draft.domain.links.get(link)?.to;
  if (!to) throw new Error(`nothing leads from ${draft.domain.name} by "${link}"`);
  const made: Draft = { link, domain: domainOf(to), fields: new Set(), keys: undefined, includes: new Map() };
  draft.includes.set(link, made);
  return made;
}

function finished({ link, fields, keys, includes }: Draft): Include {
  return {
    link,
    fields: [...fields],
    ...(keys && { keys: [...keys] }),
    includes: [...includes.values()].map(finished),
  };
}

export function defaultsOf(domain: Domain): string[] {
  return [...domain.fields.values()].filter(({ isDefault }) => isDefault).map(({ name }) => name);
}

function allOf(domain: Domain): string[] {
  if (PLAIN.has(domain.name)) return defaultsOf(domain);
  return [...domain.fields.values()].filter(({ isInternal }) => !isInternal).map(({ name }) => name);
}

function sortOf({ sort, domain, failure }: AqlQuery, fields: readonly string[], includes: readonly Include[]) {
  const found: SortField[] = [];
  for (const name of sort?.fields ?? []) {
    const named = resolveName(domain, name);
    const field = named?.field;
    if (!named || field === undefined || named.key !== undefined || !isShown(named.links, field)) {
      throw failure('Only the result fields are allowed to use in the sort section.');
    }
    if (found.some((one) => one.field === field && one.links.length === named.links.length)) {
      throw failure('Duplicate fields, all the fields in the sort section should be unique.');
    }
    found.push({ links: named.links, field, descending: sort?.descending ?? false });
  }
  return found;

  function isShown(links: readonly string[], field: string): boolean {
    if (links.length === 0) return fields.includes(field) && domain.fields.get(field)?.type !== 'computed';
    const statistics = includes.find(({ link }) => link === 'stat');
    return (
      domain.name === 'item' &&
      links.length === 1 &&
      links[0] === 'stat' &&
      (statistics?.fields.includes(field) ?? false)
    );
  }
}
