/**
 * Compares what the rows say with what the store holds, in both directions, and what manifests name with what is
 * there. Reads in pages and may run beside a server: what looks wrong is looked at twice before it is reported.
 */
import { AppError } from '../core/errors.ts';
import type { Format } from '../core/format.ts';
import { renderDigest, type Sha256 } from '../core/ids.ts';
import {
  type BlobRow,
  getBlob,
  getInlineBytes,
  knownObjects,
  listBlobs,
  resolveDigest,
  reviewBlobs,
} from '../db/blobs.ts';
import type { Database } from '../db/database.ts';
import { databaseComplaints, type LeadFile, listForgotten, listLeadFiles } from '../db/integrity.ts';
import { listHolders } from '../db/nodes.ts';
import { usedStages } from '../db/uploads.ts';
import { Hashes } from '../lib/hashes.ts';
import type { BlobDriver, StoredObject } from './driver.ts';

export type Problem =
  /** The bytes of a blob are not there, not as many as they should be, or not those they should be. */
  | { readonly kind: 'missing-bytes' | 'wrong-size' | 'wrong-bytes'; readonly sha256: Sha256; readonly detail: string }
  /** Bytes that no row knows. */
  | { readonly kind: 'orphan-object'; readonly key: string; readonly sizeBytes: number }
  | { readonly kind: 'orphan-stage'; readonly id: string }
  /** A blob that no file names and that no sweep would find. */
  | { readonly kind: 'forgotten-blob'; readonly sha256: Sha256 }
  | { readonly kind: 'missing-reference'; readonly file: LeadFile; readonly digests: readonly string[] }
  | { readonly kind: 'unreadable-manifest'; readonly file: LeadFile; readonly detail: string }
  | { readonly kind: 'database'; readonly detail: string };

export interface CheckOptions {
  /** Reads all bytes and hashes them, instead of asking for sizes only. */
  readonly deep: boolean;
  /** Objects and stages younger than this may belong to a change under way. */
  readonly safeAgeMs: number;
  /** Removes what belongs to nothing. Nothing else is ever changed. */
  readonly removeOrphans: boolean;
  report(problem: Problem): void | Promise<void>;
  /** Called between pages: throws when the check must stop. */
  proceed(): Promise<void>;
}

export interface CheckSummary {
  readonly blobs: number;
  readonly bytes: number;
  readonly objects: number;
  readonly stages: number;
  readonly versions: number;
  readonly problems: number;
  readonly removed: number;
}

export interface CheckDeps {
  readonly database: Database;
  readonly driver: BlobDriver;
  readonly formats: readonly Format[];
}

const PAGE = 200;
const ASKED_AT_ONCE = 8;
const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;

/** Looks at everything once, tells each problem as it is found, and returns the counts. */
export async function checkStored(deps: CheckDeps, options: CheckOptions): Promise<CheckSummary> {
  const check = new Check(deps, options);
  await check.database();
  await check.blobs();
  await check.objects();
  await check.stages();
  await check.versions();
  return check.summary;
}

class Check {
  readonly summary = { blobs: 0, bytes: 0, objects: 0, stages: 0, versions: 0, problems: 0, removed: 0 };
  readonly #deps: CheckDeps;
  readonly #options: CheckOptions;
  readonly #oldest: number;
  /** Whether some blob has its bytes in the store. */
  #isOurs = false;

  constructor(deps: CheckDeps, options: CheckOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#oldest = Date.now() - options.safeAgeMs;
  }

  async database(): Promise<void> {
    const complaints = await this.#deps.database.read(databaseComplaints);
    for (const detail of complaints) await this.#report({ kind: 'database', detail });
  }

  async blobs(): Promise<void> {
    const { database } = this.#deps;
    for (let after = ''; ; ) {
      await this.#options.proceed();
      const page = await database.read((db) => listBlobs(db, after, PAGE));
      for (let i = 0; i < page.length; i += ASKED_AT_ONCE) {
        await Promise.all(page.slice(i, i + ASKED_AT_ONCE).map((blob) => this.#blob(blob)));
      }
      await this.#forgotten(page.map((blob) => blob.sha256));
      after = page.at(-1)?.sha256 ?? '';
      if (page.length < PAGE) return;
    }
  }

  async objects(): Promise<void> {
    if (this.#options.removeOrphans && !this.#isOurs) await this.#requireEmpty();
    let page: StoredObject[] = [];
    for await (const object of this.#deps.driver.list()) {
      this.summary.objects += 1;
      if (object.modifiedAt.getTime() < this.#oldest) page.push(object);
      if (page.length < PAGE) continue;
      await this.#orphansAmong(page);
      page = [];
    }
    await this.#orphansAmong(page);
  }

  /** A database that knows nothing of what the store holds is more likely another store's: all would go. */
  async #requireEmpty(): Promise<void> {
    for await (const { key } of this.#deps.driver.list()) {
      if ((await this.#deps.database.read((db) => knownObjects(db, [key]))).size > 0) return;
      throw new AppError(
        'conflict',
        `The store holds objects such as "${key}", but the database knows none at all: it seems to be the database of another store. Nothing was removed. Check the settings "database" and "storage"; if all of it is to go, empty the store by hand.`,
      );
    }
  }

  async stages(): Promise<void> {
    const { database, driver } = this.#deps;
    for await (const { id, modifiedAt } of driver.staged()) {
      this.summary.stages += 1;
      if (modifiedAt.getTime() >= this.#oldest) continue;
      if ((await database.read((db) => usedStages(db, [id]))).has(id)) continue;
      await this.#report({ kind: 'orphan-stage', id });
      if (!this.#options.removeOrphans) continue;
      await driver.removeStage(id);
      this.summary.removed += 1;
    }
  }

  async versions(): Promise<void> {
    for (let after = 0; ; ) {
      await this.#options.proceed();
      const page = await this.#deps.database.read((db) => listLeadFiles(db, after, PAGE));
      for (const file of page) await this.#version(file);
      after = page.at(-1)?.nodeId ?? 0;
      if (page.length < PAGE) return;
    }
  }

  async #blob(blob: BlobRow): Promise<void> {
    this.summary.blobs += 1;
    this.summary.bytes += blob.size;
    const problem = await this.#problemOf(blob);
    if (!problem) return;
    // Beside a server the blob may have been removed since its row was read.
    const again = await this.#deps.database.read((db) => getBlob(db, blob.sha256));
    if (again?.storeKey === blob.storeKey && again) await this.#report(problem);
  }

  async #problemOf(blob: BlobRow): Promise<Problem | undefined> {
    const { sha256, size, storeKey } = blob;
    const held = storeKey === undefined ? (await this.#inline(sha256))?.length : await this.#deps.driver.size(storeKey);
    if (storeKey !== undefined && held !== undefined) this.#isOurs = true;
    if (held === undefined) return { kind: 'missing-bytes', sha256, detail: placeOf(blob) };
    if (held !== size) {
      return { kind: 'wrong-size', sha256, detail: `${placeOf(blob)} holds ${held} bytes instead of ${size}` };
    }
    const wrong = this.#options.deep ? await this.#wrongHash(blob) : undefined;
    return wrong === undefined ? undefined : { kind: 'wrong-bytes', sha256, detail: `${placeOf(blob)} ${wrong}` };
  }

  async #wrongHash(blob: BlobRow): Promise<string | undefined> {
    const { sha256, sha1, md5 } = blob;
    const hashes = new Hashes(['sha256', 'sha1', 'md5']);
    try {
      for await (const chunk of this.#chunks(blob)) hashes.update(chunk);
    } catch (error) {
      return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    }
    const actual = hashes.values();
    if (actual.sha256 !== sha256) return `has the SHA-256 ${actual.sha256}`;
    if (sha1 !== undefined && actual.sha1 !== sha1) return `has the SHA-1 ${actual.sha1}, not ${sha1}`;
    if (md5 !== undefined && actual.md5 !== md5) return `has the MD5 ${actual.md5}, not ${md5}`;
    return undefined;
  }

  async *#chunks({ sha256, storeKey }: Pick<BlobRow, 'sha256' | 'storeKey'>): AsyncGenerator<Buffer> {
    if (storeKey !== undefined) yield* (await this.#deps.driver.open(storeKey)) as AsyncIterable<Buffer>;
    else yield (await this.#inline(sha256)) ?? Buffer.alloc(0);
  }

  #inline(sha256: Sha256): Promise<Buffer | undefined> {
    return this.#deps.database.read((db) => getInlineBytes(db, sha256));
  }

  async #forgotten(digests: readonly Sha256[]): Promise<void> {
    const { database } = this.#deps;
    const forgotten = await database.read((db) => listForgotten(db, digests));
    for (const sha256 of forgotten) await this.#report({ kind: 'forgotten-blob', sha256 });
    if (!this.#options.removeOrphans || forgotten.length === 0) return;
    // The next sweep looks at them, and asks once more whether a file names them.
    await database.transaction((tx) => reviewBlobs(tx, forgotten, Date.now()));
    this.summary.removed += forgotten.length;
  }

  async #orphansAmong(page: readonly StoredObject[]): Promise<void> {
    const { database, driver } = this.#deps;
    await this.#options.proceed();
    const keys = page.map(({ key }) => key);
    const known = await database.read((db) => knownObjects(db, keys));
    for (const { key, size } of page) {
      if (known.has(key)) continue;
      await this.#report({ kind: 'orphan-object', key, sizeBytes: size });
      if (!this.#options.removeOrphans) continue;
      if ((await database.read((db) => knownObjects(db, [key]))).has(key)) continue;
      await driver.remove(key);
      this.summary.removed += 1;
    }
  }

  async #version(file: LeadFile): Promise<void> {
    this.summary.versions += 1;
    const format = this.#deps.formats.find(({ packageTypes }) => packageTypes.includes(file.packageType));
    if (!format?.references || file.size > MAX_MANIFEST_BYTES) return;
    const problem = await this.#referenceProblem(file, format.references.bind(format));
    if (!problem) return;
    const [again] = await this.#deps.database.read((db) => listLeadFiles(db, file.nodeId - 1, 1));
    if (again?.nodeId === file.nodeId && again.sha256 === file.sha256) await this.#report(problem);
  }

  async #referenceProblem(file: LeadFile, references: NonNullable<Format['references']>): Promise<Problem | undefined> {
    const { database } = this.#deps;
    const missing: string[] = [];
    const wanted = new Map<Sha256, string>();
    try {
      const blob = await database.read((db) => getBlob(db, file.sha256));
      // Its bytes are reported with the blobs.
      if (!blob || (await this.#problemOf(blob))) return undefined;
      const bytes = Buffer.concat(await Array.fromAsync(this.#chunks(blob)));
      for (const digest of references(bytes, file.mediaType)) {
        const sha256 = await database.read((db) => resolveDigest(db, digest));
        if (sha256) wanted.set(sha256, renderDigest(digest));
        else missing.push(renderDigest(digest));
      }
    } catch (error) {
      return { kind: 'unreadable-manifest', file, detail: error instanceof Error ? error.message : String(error) };
    }
    const held = await database.read((db) => listHolders(db, file.repoId, file.package, [...wanted.keys()]));
    for (const [sha256, digest] of wanted) if (!held.has(sha256)) missing.push(digest);
    return missing.length === 0 ? undefined : { kind: 'missing-reference', file, digests: missing };
  }

  async #report(problem: Problem): Promise<void> {
    this.summary.problems += 1;
    await this.#options.report(problem);
  }
}

function placeOf({ storeKey }: BlobRow): string {
  return storeKey === undefined ? 'its row in the database' : `the object ${storeKey}`;
}
