/** What can be searched: the domains of AQL, their fields as columns, and how rows of one lead to rows of another. */

import {
  depth,
  type FieldSpec,
  fields,
  held,
  ITEM_ARCHIVE,
  itemsNamedBy,
  links,
  NO_RELEASE,
  NO_RELEASE_ARTIFACT,
  named,
  owner,
  scopes,
  sum,
} from './domain-parts.ts';

export type DomainName =
  | 'item'
  | 'property'
  | 'stat'
  | 'archive'
  | 'entry'
  | 'artifact'
  | 'dependency'
  | 'module'
  | 'moduleProperty'
  | 'build'
  | 'buildProperty'
  | 'promotion'
  | 'release'
  | 'releaseArtifact';

/** `repo` holds a repository's id, `path` the folder with '' for the top, `type` 0 for a file; `computed` has no column. */
export type FieldType = 'string' | 'number' | 'date' | 'repo' | 'path' | 'type' | 'computed';

export interface Field {
  readonly name: string;
  /** How result rows name it. */
  readonly key: string;
  readonly type: FieldType;
  /** The column, or an expression, of the row with this alias. */
  column(alias: string): string;
  readonly isDefault: boolean;
  readonly isNullable: boolean;
  /** A count of which zero is asked for as nothing, as if the row were not there. */
  readonly isZeroNothing: boolean;
  /** For searches of our own; queries in AQL do not know it. */
  readonly isInternal: boolean;
}

/** Tables and the column in them that is to equal something. */
export interface Way {
  /** What follows `from`; the rows reached have the alias `child`, others `helper` or `helper` and a letter. */
  from(child: string, helper: string): string;
  key(child: string, helper: string): string;
}

/** One way from a row to rows of another domain. */
export interface LinkBranch {
  /** To be compared with the `column` of the first row. */
  readonly direct: Way & { readonly column: string; when?(alias: string): string };
  /** To be compared with the `ident` of the first row. */
  readonly byIdent: Way;
}

export interface Link {
  readonly name: string;
  readonly to: DomainName;
  readonly branches: readonly LinkBranch[];
  /** Whether it leads from what describes an item to that item. */
  readonly describes?: boolean;
  /** How result rows name the list of the rows reached. */
  readonly list: string;
}

export interface Domain {
  readonly name: DomainName;
  readonly table: string;
  /** What `find` is called on, and the list in answers. */
  readonly root: string;
  /** What fields are prefixed with when named from elsewhere. */
  readonly prefix: string;
  /** The column by which links begin; rows with the same value lead to the same rows. */
  readonly ident: string;
  readonly fields: ReadonlyMap<string, Field>;
  readonly links: ReadonlyMap<string, Link>;
  /** Name of the link to key and value rows, where `@key` means something. */
  readonly properties?: string;
  /** The column that sets rows apart, for an order that is the same each time. */
  readonly order: readonly string[];
}

const KEY_VALUE: Readonly<Record<string, FieldSpec>> = { key: {}, value: {} };
const checksums: Readonly<Record<string, FieldSpec>> = {
  sha1: { extra: true, nullable: true },
  md5: { extra: true, nullable: true },
};

const LIST: readonly Domain[] = [
  {
    name: 'item',
    table: 'node',
    root: 'items',
    prefix: 'item',
    ident: 'id',
    order: ['id'],
    properties: 'property',
    fields: fields('', {
      repo: { type: 'repo', column: 'repo_id' },
      path: { type: 'path', column: 'parent' },
      name: {},
      type: { type: 'type', column: 'folder' },
      size: { type: 'number' },
      created: { type: 'date', column: 'created_at' },
      created_by: {},
      modified: { type: 'date', column: 'modified_at' },
      modified_by: {},
      updated: { type: 'date', column: 'modified_at' },
      depth: { type: 'number', column: depth, extra: true },
      id: { type: 'number', extra: true },
      original_md5: { extra: true, nullable: true },
      actual_md5: { extra: true, nullable: true, column: sum('md5') },
      original_sha1: { extra: true, nullable: true },
      actual_sha1: { extra: true, nullable: true, column: sum('sha1') },
      sha256: { extra: true, nullable: true },
      repo_path_checksum: { type: 'computed', extra: true },
      virtual_repos: { type: 'computed', extra: true },
      mime_type: { column: 'media_type', extra: true, nullable: true, internal: true },
    }),
    links: links(
      held('property', 'property', 'properties', { table: 'property', column: 'node_id' }),
      held('stat', 'stat', 'stats', { table: 'statistic', column: 'node_id' }),
      ITEM_ARCHIVE,
      named('artifact', 'artifact', 'artifacts', 'build_artifact'),
      named('dependency', 'dependency', 'dependencies', 'build_dependency'),
      held('release_artifact', 'releaseArtifact', 'release_artifacts', {
        table: NO_RELEASE_ARTIFACT,
        column: 'item_id',
      }),
    ),
  },
  {
    name: 'property',
    table: 'property',
    root: 'properties',
    prefix: 'property',
    ident: 'node_id',
    order: ['node_id', 'key', 'value'],
    fields: fields('', {
      ...KEY_VALUE,
      id: { type: 'number', column: 'node_id', extra: true },
      item_id: { type: 'number', column: 'node_id', extra: true },
    }),
    links: links({
      ...held('item', 'item', 'items', { table: 'node', column: 'id', ident: 'node_id' }),
      describes: true,
    }),
  },
  {
    name: 'stat',
    table: 'statistic',
    root: 'stats',
    prefix: 'stat',
    ident: 'node_id',
    order: ['node_id'],
    fields: fields('', {
      downloaded: { type: 'date', column: 'downloaded_at', nullable: true },
      downloads: { type: 'number' },
      downloaded_by: { nullable: true },
      remote_downloaded: { type: 'date', column: 'remote_downloaded_at', extra: true, nullable: true },
      remote_downloads: { type: 'number', extra: true, zeroIsNothing: true },
      remote_downloaded_by: { extra: true, nullable: true },
      remote_origin: { extra: true, nullable: true, column: () => 'cast(null as text)' },
      remote_path: { extra: true, nullable: true, column: () => 'cast(null as text)' },
      id: { type: 'number', column: 'node_id', extra: true },
      remote_id: { type: 'number', column: 'node_id', extra: true },
    }),
    links: links({
      ...held('item', 'item', 'items', { table: 'node', column: 'id', ident: 'node_id' }),
      describes: true,
    }),
  },
  {
    name: 'archive',
    table: 'archive',
    root: 'archives',
    prefix: 'archive',
    ident: 'sha256',
    order: ['sha256'],
    fields: fields('archive.', { id: { column: 'sha256' } }),
    links: links(
      held('entry', 'entry', 'entries', { table: 'archive_entry', column: 'sha256', ident: 'sha256' }),
      held('item', 'item', 'items', { table: 'node', column: 'sha256', ident: 'sha256' }),
    ),
  },
  {
    name: 'entry',
    table: 'archive_entry',
    root: 'archive.entries',
    prefix: 'archive.entry',
    ident: 'sha256',
    order: ['sha256', 'path', 'name'],
    fields: fields('entry.', { name: {}, path: { type: 'path' } }),
    links: links(held('archive', 'archive', 'archives', { table: 'archive', column: 'sha256', ident: 'sha256' })),
  },
  {
    name: 'artifact',
    table: 'build_artifact',
    root: 'artifacts',
    prefix: 'artifact',
    ident: 'id',
    order: ['id'],
    fields: fields('artifact.', { name: {}, type: { nullable: true }, ...checksums }),
    links: links(
      itemsNamedBy('build_artifact'),
      owner('module', 'module', 'modules', { table: 'build_module', via: 'build_artifact', column: 'module_id' }),
    ),
  },
  {
    name: 'dependency',
    table: 'build_dependency',
    root: 'dependencies',
    prefix: 'dependency',
    ident: 'id',
    order: ['id'],
    fields: fields('dependency.', {
      name: {},
      scope: { column: scopes, nullable: true },
      type: { nullable: true },
      ...checksums,
    }),
    links: links(
      itemsNamedBy('build_dependency'),
      owner('module', 'module', 'modules', { table: 'build_module', via: 'build_dependency', column: 'module_id' }),
    ),
  },
  {
    name: 'module',
    table: 'build_module',
    root: 'modules',
    prefix: 'module',
    ident: 'id',
    order: ['id'],
    properties: 'property',
    fields: fields('module.', { name: {}, id: { type: 'number', extra: true } }),
    links: links(
      owner('build', 'build', 'builds', { table: 'build', via: 'build_module', column: 'build_id' }),
      held('artifact', 'artifact', 'artifacts', { table: 'build_artifact', column: 'module_id' }),
      held('dependency', 'dependency', 'dependencies', { table: 'build_dependency', column: 'module_id' }),
      held('property', 'moduleProperty', 'module.properties', { table: 'build_module_property', column: 'module_id' }),
    ),
  },
  {
    name: 'moduleProperty',
    table: 'build_module_property',
    root: 'module.properties',
    prefix: 'module.property',
    ident: 'module_id',
    order: ['module_id', 'key', 'value'],
    fields: fields('module.property.', KEY_VALUE),
    links: links(held('module', 'module', 'modules', { table: 'build_module', column: 'id', ident: 'module_id' })),
  },
  {
    name: 'build',
    table: 'build',
    root: 'builds',
    prefix: 'build',
    ident: 'id',
    order: ['id'],
    properties: 'property',
    fields: fields('build.', {
      url: { nullable: true },
      name: {},
      number: {},
      started: { type: 'date', column: 'started_at' },
      created: { type: 'date', column: 'created_at' },
      created_by: {},
      modified: { type: 'date', column: 'modified_at' },
      modified_by: {},
      id: { type: 'number', extra: true },
      repo: { type: 'repo', column: 'repo_id', extra: true },
    }),
    links: links(
      held('module', 'module', 'modules', { table: 'build_module', column: 'build_id' }),
      held('property', 'buildProperty', 'build.properties', { table: 'build_property', column: 'build_id' }),
      held('promotion', 'promotion', 'build.promotions', { table: 'build_promotion', column: 'build_id' }),
    ),
  },
  {
    name: 'buildProperty',
    table: 'build_property',
    root: 'build.properties',
    prefix: 'build.property',
    ident: 'build_id',
    order: ['build_id', 'key', 'value'],
    fields: fields('build.property.', KEY_VALUE),
    links: links(held('build', 'build', 'builds', { table: 'build', column: 'id', ident: 'build_id' })),
  },
  {
    name: 'promotion',
    table: 'build_promotion',
    root: 'build.promotions',
    prefix: 'build.promotion',
    ident: 'id',
    order: ['id'],
    fields: fields('build.promotion.', {
      created: { type: 'date', column: 'created_at' },
      created_by: {},
      status: { nullable: true },
      repo: { nullable: true },
      comment: { nullable: true },
      user: { column: 'ci_user', nullable: true },
    }),
    links: links(owner('build', 'build', 'builds', { table: 'build', via: 'build_promotion', column: 'build_id' })),
  },
  {
    name: 'release',
    table: NO_RELEASE,
    root: 'releases',
    prefix: 'release',
    ident: 'id',
    order: ['id'],
    fields: fields('release.', {
      name: {},
      version: {},
      status: {},
      created: { type: 'date' },
      signature: {},
      type: {},
      storing_repo: {},
      id: { type: 'number' },
    }),
    links: links(
      held('release_artifact', 'releaseArtifact', 'release_artifacts', {
        table: NO_RELEASE_ARTIFACT,
        column: 'bundle_id',
      }),
    ),
  },
  {
    name: 'releaseArtifact',
    table: NO_RELEASE_ARTIFACT,
    root: 'release_artifacts',
    prefix: 'release_artifact',
    ident: 'id',
    order: ['id'],
    fields: fields('release_artifact.', {
      path: {},
      id: { type: 'number' },
      item_id: { type: 'number' },
      bundle_id: { type: 'number' },
      repo_path: { column: 'path', extra: true },
    }),
    links: links(
      held('release', 'release', 'releases', {
        table: NO_RELEASE,
        column: 'id',
      }),
      held('item', 'item', 'items', { table: 'node', column: 'id' }),
    ),
  },
];

const BY_NAME = new Map(LIST.map((domain) => [domain.name, domain]));
const BY_ROOT = new Map(LIST.map((domain) => [domain.root, domain]));

export function domainOf(name: DomainName): Domain {
  const domain = BY_NAME.get(name);
  if (!domain) throw new Error(`there is no domain "${name}"`);
  return domain;
}

/** The domain that `find` is called on by this name. */
export function rootDomain(name: string): Domain | undefined {
  return BY_ROOT.get(name);
}

/** Domains whose rows tell of a build, and the link towards it. */
export const TOWARDS_BUILD: Partial<Readonly<Record<DomainName, string>>> = {
  artifact: 'module',
  dependency: 'module',
  module: 'build',
  moduleProperty: 'module',
  buildProperty: 'build',
  promotion: 'build',
};

/** Domains whose rows tell of items, and the link towards them. */
export const TOWARDS_ITEM: Partial<Readonly<Record<DomainName, string>>> = {
  property: 'item',
  stat: 'item',
  archive: 'item',
  entry: 'archive',
};
