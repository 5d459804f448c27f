import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** One real image with one tag, whose rows are what the others are copied from. */
export type Template = { readonly image: string; readonly tag: string };

export type Amount = {
  /** Tags the template's image gets. */
  readonly tags: number;
  /** Nodes there are at least in the end; those beyond the image's are images of a hundred tags. */
  readonly nodes: number;
};

export type Filled = { readonly nodes: number; readonly tags: readonly string[]; readonly sizeMb: number };

const tagsPerFurtherImage = 100;

/**
 * Fills a stopped server's SQLite file by copying the rows of one pushed image, so that the copies are as the server
 * writes them whatever its layout.
 */
export function fillDatabase(dataDir: string, template: Template, amount: Amount): Filled {
  const file = findDatabase(dataDir);
  const db = new DatabaseSync(file);
  try {
    // The file is worth nothing when this fails, so it needs no journal.
    db.exec('pragma journal_mode = off; pragma synchronous = off; pragma foreign_keys = off');
    db.exec('pragma cache_size = -262144; pragma temp_store = memory; begin');
    const perTag = collectTemplate(db, template);
    const tags = planCopies(db, { template, amount, perTag });
    copyRows(db, template, perTag);
    db.exec('commit');
    return { nodes: countNodes(db), tags, sizeMb: statSync(file).size / 2 ** 20 };
  } finally {
    db.close();
  }
}

/** The server's SQLite file. */
export function findDatabase(dir: string): string {
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const file = `${entry.parentPath}/${entry.name}`;
    if (entry.isFile() && isDatabase(file)) return file;
  }
  throw new Error('The server keeps no SQLite file');
}

function isDatabase(file: string): boolean {
  const magic = Buffer.alloc(16);
  const opened = openSync(file, 'r');
  readSync(opened, magic);
  closeSync(opened);
  return magic.toString('latin1') === 'SQLite format 3\0';
}

/** Numbers the template's rows; returns how many nodes one tag has. */
function collectTemplate(db: DatabaseSync, { image, tag }: Template): number {
  db.exec('create temp table template (position integer primary key, node_id integer not null)');
  const folder = `${image}/${tag}`;
  db.prepare(
    `insert into template (position, node_id)
     select row_number() over (order by folder desc, parent, name) - 1, id from node
     where (parent = ? and name = ?) or parent = ? or substr(parent, 1, length(?) + 1) = ? || '/'`,
  ).run(image, tag, folder, folder, folder);
  const counted = db.prepare('select count(*) as count from template').get();
  const count = Number(counted?.['count'] ?? 0);
  if (count === 0) throw new Error(`No node of ${image}:${tag} was found`);
  return count;
}

type Plan = { readonly template: Template; readonly amount: Amount; readonly perTag: number };

/** Lists the copies to be made, in the order of their paths; returns the tags of the large image. */
function planCopies(db: DatabaseSync, { template, amount, perTag }: Plan): string[] {
  db.exec('create temp table copy (number integer primary key, image text not null, tag text not null)');
  const insert = db.prepare('insert into copy (image, tag) values (?, ?)');
  const tags = Array.from({ length: amount.tags - 1 }, (_, index) => renderTag(index));
  for (const tag of tags) insert.run(template.image, tag);
  const further = Math.ceil(Math.max(0, amount.nodes - countNodes(db) - tags.length * perTag) / perTag);
  for (let index = 0; index < further; index++) {
    const image = `${template.image}-${String(Math.floor(index / tagsPerFurtherImage)).padStart(6, '0')}`;
    insert.run(image, renderTag(index % tagsPerFurtherImage));
  }
  return tags;
}

function renderTag(index: number): string {
  return `v${String(index).padStart(6, '0')}`;
}

function copyRows(db: DatabaseSync, { image, tag }: Template, perTag: number): void {
  const { base } = db.prepare('select max(id) + 1 as base from node').get() ?? {};
  const names = { $image: image, $tag: tag };
  // Both are random texts, so they stand nowhere by chance.
  const renamed = (column: string) => `replace(replace(${column}, $tag, copy.tag), $image, copy.image)`;
  const copies = 'from copy cross join template cross join';
  const id = `${Number(base)} + (copy.number - 1) * ${perTag} + template.position`;
  db.prepare(
    `insert into node (id, repo_id, parent, name, folder, sha256, size, media_type, package,
                       created_at, created_by, modified_at, modified_by)
     select ${id}, repo_id, ${renamed('parent')}, ${renamed('name')}, folder, sha256, size, media_type,
            ${renamed('package')}, created_at, created_by, modified_at, modified_by
     ${copies} node on node.id = template.node_id`,
  ).run(names);
  db.prepare(
    `insert into property (node_id, key, value)
     select ${id}, key, ${renamed('value')} ${copies} property on property.node_id = template.node_id`,
  ).run(names);
  db.prepare(
    `insert into package_version (node_id, repo_id, name, version, metadata, created_at)
     select ${id}, repo_id, ${renamed('package_version.name')}, ${renamed('version')}, ${renamed('metadata')}, created_at
     ${copies} package_version on package_version.node_id = template.node_id`,
  ).run(names);
  copyImageFolders(db, image);
}

/** The folders of the further images, which lie beside the template's. */
function copyImageFolders(db: DatabaseSync, image: string): void {
  const cut = image.lastIndexOf('/');
  const [parent, name] = [image.slice(0, Math.max(0, cut)), image.slice(cut + 1)];
  db.prepare(
    `insert into node (repo_id, parent, name, folder, size, created_at, created_by, modified_at, modified_by)
     select repo_id, parent, substr(copied.image, $cut), 1, 0, created_at, created_by, modified_at, modified_by
     from (select distinct image from copy where image <> $image) as copied
     cross join node on parent = $parent and name = $name`,
  ).run({ $cut: cut + 2, $image: image, $parent: parent, $name: name });
}

function countNodes(db: DatabaseSync): number {
  return Number(db.prepare('select count(*) as count from node').get()?.['count'] ?? 0);
}
