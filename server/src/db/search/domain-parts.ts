/** What the description of the domains is made of: fields as columns, and the kinds of links between tables. */
import type { DomainName, Field, FieldType, Link, LinkBranch } from './domains.ts';

export interface FieldSpec {
  readonly type?: FieldType;
  readonly column?: string | ((alias: string) => string);
  readonly extra?: boolean;
  readonly nullable?: boolean;
  readonly zeroIsNothing?: boolean;
  readonly internal?: boolean;
}

export function fields(prefix: string, specs: Readonly<Record<string, FieldSpec>>): ReadonlyMap<string, Field> {
  return new Map(
    Object.entries(specs).map(
      ([name, { type = 'string', column = name, extra = false, nullable = false, ...more }]) => [
        name,
        {
          name,
          key: `${prefix}${name}`,
          type,
          column: typeof column === 'string' ? (alias: string) => `${alias}.${column}` : column,
          isDefault: !extra,
          isNullable: nullable,
          isZeroNothing: more.zeroIsNothing ?? false,
          isInternal: more.internal ?? false,
        },
      ],
    ),
  );
}

export function links(...list: readonly Link[]): ReadonlyMap<string, Link> {
  return new Map(list.map((link) => [link.name, link]));
}

/** Rows whose table names the first row by a column. */
export function held(
  name: string,
  to: DomainName,
  list: string,
  by: { table: string; column: string; ident?: string },
): Link {
  const way = { from: (child: string) => `${by.table} ${child}`, key: (child: string) => `${child}.${by.column}` };
  return { name, to, list, branches: [{ direct: { ...way, column: by.ident ?? 'id' }, byIdent: way }] };
}

/** The row that a column of the first row names. */
export function owner(
  name: string,
  to: DomainName,
  list: string,
  way: { table: string; via: string; column: string },
): Link {
  const branch: LinkBranch = {
    direct: { column: way.column, from: (child) => `${way.table} ${child}`, key: (child) => `${child}.id` },
    byIdent: {
      from: (child, helper) =>
        `${way.via} ${helper} join ${way.table} ${child} on ${child}.id = ${helper}.${way.column}`,
      key: (_child, helper) => `${helper}.id`,
    },
  };
  return { name, to, list, branches: [branch] };
}

/** What builds name by checksum: by SHA-256 where the build tells it, else by SHA-1. */
export function named(name: string, to: DomainName, list: string, table: string): Link {
  const bySha1 = (child: string, helper: string) =>
    `${table} ${child} join blob ${helper}b on ${helper}b.sha1 = ${child}.sha1 and ${child}.sha256 is null`;
  return {
    name,
    to,
    list,
    branches: [
      {
        direct: { column: 'sha256', from: (child) => `${table} ${child}`, key: (child) => `${child}.sha256` },
        byIdent: {
          from: (child, helper) => `${table} ${child} join node ${helper} on ${helper}.sha256 = ${child}.sha256`,
          key: (_child, helper) => `${helper}.id`,
        },
      },
      {
        direct: { column: 'sha256', from: bySha1, key: (_child, helper) => `${helper}b.sha256` },
        byIdent: {
          from: (child, helper) =>
            `${bySha1(child, helper)} join node ${helper} on ${helper}.sha256 = ${helper}b.sha256`,
          key: (_child, helper) => `${helper}.id`,
        },
      },
    ],
  };
}

/** The same, the other way. */
export function itemsNamedBy(table: string): Link {
  return {
    name: 'item',
    to: 'item',
    list: 'items',
    branches: [
      {
        direct: { column: 'sha256', from: (child) => `node ${child}`, key: (child) => `${child}.sha256` },
        byIdent: {
          from: (child, helper) => `${table} ${helper} join node ${child} on ${child}.sha256 = ${helper}.sha256`,
          key: (_child, helper) => `${helper}.id`,
        },
      },
      {
        direct: {
          column: 'sha1',
          when: (alias) => `${alias}.sha256 is null`,
          from: (child, helper) => `node ${child} join blob ${helper} on ${helper}.sha256 = ${child}.sha256`,
          key: (_child, helper) => `${helper}.sha1`,
        },
        byIdent: {
          from: (child, helper) =>
            `${table} ${helper} join blob ${helper}b on ${helper}b.sha1 = ${helper}.sha1 and ${helper}.sha256 is null join node ${child} on ${child}.sha256 = ${helper}b.sha256`,
          key: (_child, helper) => `${helper}.id`,
        },
      },
    ],
  };
}

/** Archives are known by their content, which several items may have. */
export const ITEM_ARCHIVE: Link = {
  name: 'archive',
  to: 'archive',
  list: 'archives',
  branches: [
    {
      direct: { column: 'sha256', from: (child) => `archive ${child}`, key: (child) => `${child}.sha256` },
      byIdent: {
        from: (child, helper) => `archive ${child} join node ${helper} on ${helper}.sha256 = ${child}.sha256`,
        key: (_child, helper) => `${helper}.id`,
      },
    },
  ],
};

export const depth = (a: string) =>
  `(case when ${a}.name = '.' then 0 when ${a}.parent = '' then 1 else length(${a}.parent) - length(replace(${a}.parent, '/', '')) + 2 end)`;
export const sum = (column: string) => (a: string) => `(select h.${column} from blob h where h.sha256 = ${a}.sha256)`;

/** Release bundles are not kept by this server: their domains are understood and always empty. */
export const NO_RELEASE =
  "(select '' as name, '' as version, '' as status, 0 as created, '' as signature, '' as type, '' as storing_repo, 0 as id where 1 = 0)";
export const NO_RELEASE_ARTIFACT = "(select '' as path, 0 as id, 0 as item_id, 0 as bundle_id where 1 = 0)";

export const scopes = (a: string) =>
  `nullif(replace(replace(replace(${a}.scopes, '["', ''), '"]', ''), '","', ','), '[]')`;
