/** Where bytes rest. Thin: hashing, verification and bookkeeping are the store's. */
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { Sha256 } from '../core/ids.ts';
import type { ByteRange } from '../core/repository.ts';

/**
 * Objects are named by store keys, which the driver makes and nobody else reads anything into. A key is never used
 * twice, so a late removal cannot hit newer bytes.
 *
 * Trouble of the medium is an AppError: `quota_exceeded` when it is full, `unavailable` for everything else; an
 * object that is not there is `undefined` or, when opened, `unavailable`: the rows say it exists.
 */
export interface BlobDriver {
  readonly name: string;
  /** Checks that the medium can be used and prepares it. */
  start(): Promise<void>;
  open(key: string, range?: ByteRange): Promise<Readable>;
  /** Hands chunks to `write`; a chunk is valid only until the promise `write` returned settles. */
  pump(key: string, range: ByteRange | undefined, write: (chunk: Buffer) => Promise<void>): Promise<void>;
  /** Size in bytes; undefined if there is no such object. */
  size(key: string): Promise<number | undefined>;
  /** Starts an empty stage. */
  stage(): Promise<Stage>;
  /** Starts an empty file on this machine for bytes that are read while they are written. */
  spool(): Promise<SpoolFile>;
  /** Reopens a stage after a restart or on another node, with `size` telling what it durably holds. */
  resume(stageId: string): Promise<Stage | undefined>;
  /** Removes the object; one that is gone already is no error. */
  remove(key: string): Promise<void>;
  /** Every object, in no order. */
  list(): AsyncIterable<StoredObject>;
  /** Every stage that was neither committed nor aborted. */
  staged(): AsyncIterable<{ readonly id: string; readonly modifiedAt: Date }>;
  /** Removes what a stage of this id left behind, open or not. */
  removeStage(stageId: string): Promise<void>;
  /** An address under which a client may fetch the object itself for a while. */
  sign?(key: string, options: { readonly expiresInMs: number; readonly fileName: string }): Promise<URL>;
  stop(): Promise<void>;
}

export interface StoredObject {
  readonly key: string;
  readonly size: number;
  readonly modifiedAt: Date;
}

/** A file on this machine of which nothing is left behind when the process dies, or only what `staged` tells of. */
export interface SpoolFile {
  /** For writing and reading; whoever asked for the file closes it at the end. */
  readonly handle: FileHandle;
  /** A stage that holds what was written; it is the file itself where the medium is this machine. */
  toStage(size: number): Promise<Stage>;
  /** Removes the file, unless it became a stage. */
  remove(): Promise<void>;
}

/** Bytes not yet visible. Dropped unless committed. Used by one caller at a time. */
export interface Stage {
  readonly id: string;
  /** Bytes appended so far, durable or not. */
  readonly size: number;
  /**
   * Appends one chunk and may return before it is written; a failure surfaces here or in `sync`. The chunk must not be
   * changed afterwards. An `owned` one is nobody else's: its memory may be given back as soon as it is written.
   */
  write(chunk: Buffer, options?: { readonly owned?: boolean }): Promise<void> | undefined;
  /** Returns when every byte written so far is durable and a `resume` would find it. */
  sync(): Promise<void>;
  /** Drops bytes beyond `size`, which were written but never acknowledged. */
  truncate(size: number): Promise<void>;
  /** What was written, from the start; the stage must have been synced. */
  read(): Promise<Readable>;
  /**
   * Makes the bytes an object of their own and returns its key once the object is durable. The digest names it
   * where the medium allows. `announce` is called with the key, and awaited, before an object of that key can
   * exist, so that a crash in between leaves a note of what to remove. The stage is gone afterwards.
   */
  commit(sha256: Sha256, announce: (key: string) => Promise<void>): Promise<string>;
  /** Frees what the stage holds open in this process; the bytes stay for a `resume`. */
  close(): Promise<void>;
  /** Removes the bytes. Safe to call after a failure and more than once. */
  abort(): Promise<void>;
}
