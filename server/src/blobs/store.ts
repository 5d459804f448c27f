/** The content-addressed store: bytes come in once, verified; they are read by their rows. */
import type { Readable } from 'node:stream';
import { drain, isRequest } from '../core/bodies.ts';
import { AppError } from '../core/errors.ts';
import type { Checksums, Digest, Sha256 } from '../core/ids.ts';
import type { Content, StoreOptions } from '../core/repository.ts';
import { getBlob, getInlineBytes, setChecksums } from '../db/blobs.ts';
import type { Database, Tx } from '../db/database.ts';
import { crashpoint } from '../lib/crashpoint.ts';
import { type HashAlgorithm, Hashes } from '../lib/hashes.ts';
import { singleflight } from '../lib/singleflight.ts';
import type { BlobDriver, Stage } from './driver.ts';
import { inlineContent } from './inline-content.ts';
import { type Held, Landing } from './landing.ts';
import type { StorageQuota } from './quota.ts';
import { Soundness } from './soundness.ts';

export interface BlobStoreDeps {
  readonly database: Database;
  readonly driver: BlobDriver;
  /** Blobs up to this size are held in the database: one write instead of three, and read with their row. */
  readonly inlineBytes: number;
  /** How much may be stored; the disk alone limits it without. */
  readonly quota?: Pick<StorageQuota, 'meter'>;
  readonly redirect: { readonly enabled: boolean; readonly minBytes: number; readonly ttlMs: number };
}

/** A blob as rows tell of it. */
export interface StoredBlob {
  readonly sha256: Sha256;
  readonly size: number;
  readonly sha1: string | undefined;
  readonly md5: string | undefined;
  readonly storeKey: string | undefined;
  readonly bytes: Buffer | undefined;
}

export class BlobStore {
  readonly deps: BlobStoreDeps;
  readonly #summing = singleflight<Checksums>();
  readonly #soundness = new Soundness();

  constructor(deps: BlobStoreDeps) {
    this.deps = deps;
  }

  /** Streams bytes in, hashing them once; refuses them if they are not what the client says they are. */
  async receive(body: Readable, options: StoreOptions = {}): Promise<Landing> {
    const hashes = new Hashes(algorithmsFor(options));
    const small: Buffer[] = [];
    const meter = this.deps.quota?.meter(body);
    let stage: Stage | undefined;
    try {
      const owned = isRequest(body);
      const open = async (chunk: Buffer) => {
        stage = await this.deps.driver.stage();
        crashpoint('blob.staged');
        for (const earlier of [...small.splice(0), chunk]) await stage.write(earlier);
      };
      const take = (chunk: Buffer) => {
        hashes.update(chunk);
        meter?.take(chunk.length);
        if (options.maxBytes !== undefined && hashes.bytes > options.maxBytes) {
          throw new AppError('too_large', `The body is larger than the limit of ${options.maxBytes} bytes.`);
        }
        if (stage) return stage.write(chunk, { owned });
        if (hashes.bytes > this.deps.inlineBytes) return open(chunk);
        small.push(chunk);
        return undefined;
      };
      const cut = await drain(body, take, options.signal);
      if (cut !== undefined) throw cut;
      const held = stage ? { stage } : { buffer: Buffer.concat(small) };
      const landing = await this.land(held, hashes, options.expected ?? {});
      meter?.end('kept');
      return landing;
    } catch (error) {
      meter?.end('dropped');
      await stage?.abort().catch(() => undefined);
      throw error;
    }
  }

  /** Verifies what was received and places it. A mismatch is `invalid`; the caller drops the stage. */
  async land(
    held: Held,
    hashes: Hashes,
    expected: NonNullable<StoreOptions['expected']>,
    alsoBeforePlacing?: (tx: Tx) => Promise<void>,
  ): Promise<Landing> {
    const values = hashes.values();
    for (const [algorithm, claimed] of Object.entries(expected) as [HashAlgorithm, string][]) {
      const actual = values[algorithm];
      if (actual !== claimed) {
        throw new AppError(
          'invalid',
          `The ${algorithm} checksum of the received bytes is ${actual}, not ${claimed}. Nothing was stored; send the file again.`,
          { mismatch: { algorithm, expected: claimed, actual } },
        );
      }
    }
    crashpoint('blob.verified');
    const aliases: Digest[] = values.sha512 === undefined ? [] : [{ algorithm: 'sha512', hex: values.sha512 }];
    return Landing.of(
      { ...this.deps, soundness: this.#soundness },
      {
        sha256: values.sha256 as Sha256,
        sha1: values.sha1,
        md5: values.md5,
        size: hashes.bytes,
        aliases,
        held,
        alsoBeforePlacing,
      },
    );
  }

  /** How the bytes of a stored blob are read; `redirects` allows signed addresses whatever holds for all others. */
  content(blob: StoredBlob, options: { readonly redirects?: boolean } = {}): Content {
    if (blob.bytes) return inlineContent(blob.bytes);
    const { sha256, size } = blob;
    const key = requireKey(blob);
    const { driver, redirect } = this.deps;
    const sign = driver.sign?.bind(driver);
    return {
      size,
      open: (range) => driver.open(key, range),
      pump: (range, write) =>
        this.#soundness.read({ key, sha256, size }, range, write, (checked) => driver.pump(key, range, checked)),
      ...(sign &&
        (redirect.enabled || options.redirects) &&
        size >= redirect.minBytes && {
          redirect: (fileName: string) => sign(key, { expiresInMs: redirect.ttlMs, fileName }),
        }),
    };
  }

  /** The bytes with this name; undefined when they are not stored. */
  async contentOf(sha256: Sha256): Promise<Content | undefined> {
    const { database } = this.deps;
    const blob = await database.read((db) => getBlob(db, sha256));
    if (!blob) return undefined;
    const bytes = blob.storeKey === undefined ? await database.read((db) => getInlineBytes(db, sha256)) : undefined;
    return this.content({ ...blob, bytes });
  }

  /** All checksums of the bytes with this name; undefined when they are not stored or cannot be read. */
  async checksumsOf(sha256: Sha256): Promise<Checksums | undefined> {
    const { database } = this.deps;
    const blob = await database.read((db) => getBlob(db, sha256));
    if (!blob) return undefined;
    const bytes = blob.storeKey === undefined ? await database.read((db) => getInlineBytes(db, sha256)) : undefined;
    return this.checksums({ ...blob, bytes }).catch((error: unknown) => {
      if (error instanceof AppError) return undefined;
      throw error;
    });
  }

  /** All checksums of a blob. SHA-1 and MD5 are read off its bytes the first time and remembered. */
  async checksums(blob: StoredBlob): Promise<Checksums> {
    const { sha256, sha1, md5 } = blob;
    if (sha1 !== undefined && md5 !== undefined) return { sha256, sha1, md5 };
    return this.#summing(sha256, async () => {
      const hashes = new Hashes(['sha256', 'sha1', 'md5']);
      const add = async (chunk: Buffer) => {
        hashes.update(chunk);
        // Large blobs are summed between requests, not instead of them.
        if (hashes.bytes % (8 * 1024 * 1024) < chunk.length) await new Promise(setImmediate);
      };
      if (blob.bytes) await add(blob.bytes);
      else await this.deps.driver.pump(requireKey(blob), undefined, add);
      const values = hashes.values();
      // What is remembered of damaged bytes would outlive their repair.
      if (values.sha256 !== sha256) throw this.#soundness.damage(blob.storeKey ?? sha256);
      const checksums = { sha256, sha1: values.sha1 ?? '', md5: values.md5 ?? '' };
      await this.deps.database.transaction((tx) => setChecksums(tx, checksums), { durable: false });
      return checksums;
    });
  }
}

function requireKey({ sha256, storeKey }: StoredBlob): string {
  if (storeKey === undefined) throw new Error(`blob ${sha256} has neither bytes nor an object`);
  return storeKey;
}

function algorithmsFor(options: StoreOptions): HashAlgorithm[] {
  const named = Object.keys(options.expected ?? {}) as HashAlgorithm[];
  return options.allChecksums ? ['sha256', 'sha1', 'md5', ...named] : ['sha256', ...named];
}
