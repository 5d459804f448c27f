/**
 * What the clients of a run know: which writes were acknowledged, and which may or may not have happened because no
 * answer came. Each tag and manifest is written by one client at a time.
 */
import type { Image } from './registry-client.ts';

/** The states a register may be in; one, unless the outcome of the last write is unknown. */
type Possible<T> = Set<T>;

interface ManifestEntry {
  readonly present: Possible<boolean>;
  readonly blobs: ReadonlyMap<string, number>;
}

export interface ImageLog {
  /** Digest each tag may point to; `null` for no such tag. */
  readonly tags: Map<string, Possible<string | null>>;
  readonly manifests: Map<string, ManifestEntry>;
}

export class Ledger {
  readonly images = new Map<string, ImageLog>();
  /** Writes that were answered with success. */
  acknowledged = 0;
  /** Writes without an answer. */
  unknown = 0;

  image(name: string): ImageLog {
    let log = this.images.get(name);
    if (!log) {
      log = { tags: new Map(), manifests: new Map() };
      this.images.set(name, log);
    }
    return log;
  }

  /** Runs a write and keeps the books about it. */
  async #write<T>(begin: () => void, write: () => Promise<T>, settle: () => void): Promise<T> {
    begin();
    let result: T;
    try {
      result = await write();
    } catch (error) {
      this.unknown += 1;
      throw error;
    }
    settle();
    this.acknowledged += 1;
    return result;
  }

  /** A manifest is put, under a tag or, without one, by its digest. */
  putManifest<T>(name: string, image: Image, tag: string | undefined, write: () => Promise<T>): Promise<T> {
    const log = this.image(name);
    const entry = log.manifests.get(image.digest) ?? {
      present: new Set([false]),
      blobs: new Map(image.blobs.map(({ digest, bytes }) => [digest, bytes.length])),
    };
    const register = tag === undefined ? new Set<string | null>() : (log.tags.get(tag) ?? new Set([null]));
    return this.#write(
      () => {
        log.manifests.set(image.digest, entry);
        entry.present.add(true);
        if (tag !== undefined) log.tags.set(tag, register.add(image.digest));
      },
      write,
      () => {
        only(entry.present, true);
        only(register, image.digest);
      },
    );
  }

  deleteTag<T>(name: string, tag: string, write: () => Promise<T>): Promise<T> {
    const register = this.image(name).tags.get(tag) ?? new Set<string | null>();
    return this.#write(
      () => register.add(null),
      write,
      () => only(register, null),
    );
  }

  /** A manifest is deleted by its digest, and with it every tag that points to it. */
  deleteManifest<T>(name: string, digest: string, write: () => Promise<T>): Promise<T> {
    const { tags, manifests } = this.image(name);
    const entry = manifests.get(digest);
    const pointing = [...tags.values()].filter((register) => register.has(digest));
    return this.#write(
      () => {
        entry?.present.add(false);
        for (const register of pointing) register.add(null);
      },
      write,
      () => {
        if (entry) only(entry.present, false);
        for (const register of pointing) {
          register.delete(digest);
          if (register.size === 0) register.add(null);
        }
      },
    );
  }

  /** Manifests that must be there. */
  get presentManifests(): number {
    let count = 0;
    for (const { manifests } of this.images.values()) {
      for (const { present } of manifests.values()) if (!present.has(false)) count += 1;
    }
    return count;
  }
}

function only<T>(register: Possible<T>, value: T): void {
  register.clear();
  register.add(value);
}
