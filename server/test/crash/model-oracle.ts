/**
 * Knows exactly what must be readable (docs/adr/0006-docker-tree.md): per image its folders, each with a manifest and
 * the blobs it keeps, and the blobs that wait for a manifest, each with the age of its lease.
 */
import { MANIFESTS, manifestOf } from './model-catalog.ts';
import type { Operation } from './model-operations.ts';

/** Ages are counted in grace periods. */
export const STEP = 0.45;
/** A client that was told a blob is there may count on it for so long. */
const PROMISED = 0.5;

interface ImageState {
  /** Digest of the manifest in each folder, by tag or by digest. */
  readonly folders: Map<string, string>;
  /** Age of the lease of each blob. */
  readonly waiting: Map<string, number>;
  /** Time since a client was told that the blob is there. */
  readonly promised: Map<string, number>;
}

interface Session {
  readonly image: number;
  readonly blob: string;
}

export class Oracle {
  readonly images: readonly ImageState[] = [0, 1].map(() => ({
    folders: new Map(),
    waiting: new Map(),
    promised: new Map(),
  }));
  sessions: Session[] = [];

  /** Makes the change and tells the status that the server must answer; undefined where nothing is asked. */
  apply(operation: Operation): number | undefined {
    switch (operation.do) {
      case 'upload':
        return this.#lease(operation.image, operation.blob);
      case 'begin upload':
        this.sessions.push(operation);
        return 202;
      case 'finish upload': {
        const [session] = this.sessions.splice(operation.nth, 1);
        return session === undefined ? undefined : this.#lease(session.image, session.blob);
      }
      case 'mount':
        if (this.holds(1 - operation.image, operation.blob)) return this.#lease(operation.image, operation.blob);
        this.sessions.push(operation);
        return 202;
      case 'head':
        return this.#head(operation.image, operation.blob);
      case 'delete blob':
        return this.#deleteBlob(operation.image, operation.blob);
      case 'push':
        return this.#push(operation.image, operation.manifest, operation.tag);
      case 'put':
        return this.#put(operation.image, operation.manifest, operation.tag);
      case 'retag': {
        const digest = this.images[operation.image]!.folders.get(operation.from);
        return digest === undefined ? undefined : this.#place(operation.image, digest, operation.tag);
      }
      case 'untag':
        return this.#untag(operation.image, operation.tag) ? 202 : 404;
      case 'delete manifest':
        return this.#deleteManifest(operation.image, MANIFESTS[operation.manifest]!.digest);
      default:
        this.#keepUp(operation.do);
        return undefined;
    }
  }

  holds(image: number, digest: string): boolean {
    return this.images[image]!.waiting.has(digest) || this.isKept(image, digest);
  }

  /** Whether a manifest that is there keeps it, or is it. */
  isKept(image: number, digest: string): boolean {
    return [...this.images[image]!.folders.values()].some(
      (lead) => lead === digest || manifestOf(lead).keeps.includes(digest),
    );
  }

  /** Every digest that any image holds. */
  held(): Set<string> {
    return new Set(
      this.images.flatMap(({ folders, waiting }) => [
        ...waiting.keys(),
        ...[...folders.values()].flatMap((lead) => [lead, ...manifestOf(lead).keeps]),
      ]),
    );
  }

  #lease(image: number, blob: string): number {
    this.images[image]!.waiting.set(blob, 0);
    return 201;
  }

  #head(image: number, blob: string): number {
    const { waiting, promised } = this.images[image]!;
    if (!this.holds(image, blob)) return 404;
    // The answer is a promise, also where a manifest keeps the blob now that may be deleted before the push.
    if ((waiting.get(blob) ?? 1) >= 0.5) waiting.set(blob, 0);
    promised.set(blob, 0);
    return 200;
  }

  #deleteBlob(image: number, blob: string): number {
    if (this.isKept(image, blob)) return 405;
    this.images[image]!.promised.delete(blob);
    return this.images[image]!.waiting.delete(blob) ? 202 : 404;
  }

  #push(image: number, name: string, tag: string | undefined): number {
    const { needs, children } = MANIFESTS[name]!;
    for (const child of children)
      if (!this.isKept(image, MANIFESTS[child]!.digest)) this.#push(image, child, undefined);
    if (children.length === 0) {
      for (const blob of needs) if (this.#head(image, blob) === 404) this.#lease(image, blob);
    }
    return this.#put(image, name, tag);
  }

  #put(image: number, name: string, tag: string | undefined): number {
    const { needs, digest } = MANIFESTS[name]!;
    if (needs.every((need) => this.holds(image, need))) return this.#place(image, digest, tag);
    const { promised } = this.images[image]!;
    const broken = needs.every((need) => (promised.get(need) ?? 1) < PROMISED);
    if (broken) throw new Error(`I4: all that ${name} needs was said to be there, but it has to be refused`);
    return 400;
  }

  #place(image: number, digest: string, tag: string | undefined): number {
    const { folders } = this.images[image]!;
    if (tag === undefined) {
      if (![...folders.values()].includes(digest)) folders.set(digest, digest);
    } else if (folders.get(tag) !== digest) {
      this.#untag(image, tag);
      folders.set(tag, digest);
    }
    return 201;
  }

  /** The manifest stays readable by its digest. */
  #untag(image: number, tag: string): boolean {
    const { folders } = this.images[image]!;
    const digest = folders.get(tag);
    if (digest === undefined) return false;
    folders.delete(tag);
    if (![...folders.values()].includes(digest)) folders.set(digest, digest);
    return true;
  }

  #deleteManifest(image: number, digest: string): number {
    const { folders } = this.images[image]!;
    const leads = [...folders.values()];
    if (!leads.includes(digest)) return 404;
    if (leads.some((lead) => manifestOf(lead).needs.includes(digest))) return 403;
    for (const [folder, lead] of folders) if (lead === digest) folders.delete(folder);
    return 202;
  }

  #keepUp(upkeep: string): void {
    for (const { waiting, promised } of this.images) {
      for (const [blob, age] of waiting) {
        if (upkeep === 'let time pass') waiting.set(blob, age + STEP);
        if (upkeep === 'end all leases' || (upkeep === 'end old leases' && age >= 1)) waiting.delete(blob);
      }
      for (const [blob, age] of promised) if (upkeep === 'let time pass') promised.set(blob, age + STEP);
      if (upkeep === 'end all leases') promised.clear();
    }
    if (upkeep === 'end uploads') this.sessions = [];
  }
}
