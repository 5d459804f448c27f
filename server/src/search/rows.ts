/** Batches of rows as the objects of an answer. */
import { createHash } from 'node:crypto';
import { joinPath, type RepoPath, type Sha256 } from '../core/ids.ts';
import { compileReadRule, isEverything } from '../core/read-rule.ts';
import { type CompiledSearch, ITEM_COLUMNS, type Lookup, type Shape } from '../db/search/compile.ts';
import type { Field } from '../db/search/domains.ts';
import type { Batch, Row } from '../db/search/reader.ts';
import type { CallerScope } from './scope.ts';

/** Checksums that nobody asked for before are computed now. */
export type SumsOf = (sha256: Sha256) => Promise<{ readonly sha1: string; readonly md5: string } | undefined>;

export type ResultRow = Record<string, unknown>;

export class RowRenderer {
  readonly #search: CompiledSearch;
  readonly #scope: CallerScope;
  readonly #sumsOf: SumsOf;
  readonly #rules = new Map<number, ReturnType<typeof compileReadRule> | undefined>();

  constructor(search: CompiledSearch, scope: CallerScope, sumsOf: SumsOf) {
    this.#search = search;
    this.#scope = scope;
    this.#sumsOf = sumsOf;
  }

  /** The main rows of the batch with all that belongs to them. */
  async render(batch: Batch): Promise<ResultRow[]> {
    const found: Promise<ResultRow>[] = [];
    const children = this.#search.lookups.map((lookup, i) => ({
      lookup,
      index: i,
      byParent: Map.groupBy(batch.lookups[i] ?? [], (row) => row[0]),
    }));
    for (const row of batch.rows) found.push(this.#row(this.#search.shape, row, children, -1));
    return Promise.all(found);
  }

  async #row(shape: Shape, row: Row, lookups: readonly Found[], level: number): Promise<ResultRow> {
    const result: ResultRow = {};
    const isItem = shape.domain.name === 'item';
    const first = isItem ? ITEM_COLUMNS.length : 1;
    const own = lookups.filter(({ lookup }) => lookup.parent === level);
    const sums = own.find(({ lookup }) => lookup.list === undefined)?.byParent.get(row[0])?.[0];
    for (const [i, field] of shape.fields.entries()) {
      const value = isItem
        ? await this.#itemField(field, row, row[first + i], sums)
        : this.#plain(field, row[first + i]);
      if (value !== null && value !== undefined) result[field.key] = value;
    }
    const bare = isItem && !this.#mayDescribe(row);
    for (const { lookup, index, byParent } of own) {
      if (lookup.list === undefined || (bare && (lookup.list === 'properties' || lookup.list === 'stats'))) continue;
      const rows = byParent.get(row[0]) ?? [];
      if (rows.length === 0) continue;
      result[lookup.list] = await Promise.all(rows.map((one) => this.#row(lookup.shape, one.slice(1), lookups, index)));
    }
    return result;
  }

  #plain(field: Field, value: unknown): unknown {
    if (value === null) return undefined;
    if (field.type === 'date') return new Date(Number(value)).toISOString();
    if (field.type === 'path') return value === '' ? '.' : value;
    if (field.type === 'repo') return this.#scope.nameOf(Number(value));
    return value;
  }

  async #itemField(field: Field, row: Row, value: unknown, sums: Row | undefined): Promise<unknown> {
    const [, repoId, parent, name, folder, sha256] = row as [number, number, string, string, number, string | null];
    switch (field.name) {
      case 'type':
        return folder === 1 ? 'folder' : 'file';
      case 'virtual_repos':
        return this.#scope.virtualsOf(repoId);
      case 'repo_path_checksum':
        return createHash('sha1')
          .update(joinPath(this.#scope.nameOf(repoId), parent, name === '.' ? '' : name))
          .digest('hex');
      case 'actual_sha1':
        return sha256 === null ? undefined : (sums?.[2] ?? (await this.#sumsOf(sha256 as Sha256))?.sha1);
      case 'actual_md5':
        return sha256 === null ? undefined : (sums?.[3] ?? (await this.#sumsOf(sha256 as Sha256))?.md5);
      default:
        return this.#plain(field, value);
    }
  }

  /** Whether the caller may read the item itself, and does not only see the folder for what is below it. */
  #mayDescribe(row: Row): boolean {
    const [, repoId, parent, name, folder] = row as [number, number, string, string, number];
    if (folder !== 1) return true;
    const repository = this.#scope.repositories.get(repoId);
    if (!repository || isEverything(repository.rule)) return true;
    if (!this.#rules.has(repoId)) this.#rules.set(repoId, compileReadRule(repository.rule));
    const path = joinPath(parent, name === '.' ? '' : name) as RepoPath;
    return this.#rules.get(repoId)?.(path, false) ?? false;
  }
}

interface Found {
  readonly lookup: Lookup;
  readonly index: number;
  readonly byParent: ReadonlyMap<unknown, readonly Row[]>;
}
