/**
 * A disk that loses what was not synced. From the calls a program made it builds the states a power cut at a given
 * moment could leave behind, as POSIX allows them: what was synced is there, of the rest any part.
 */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Call } from './power-trace.ts';
import type { Seeded } from './seeded.ts';

interface Change {
  readonly began: number;
  readonly ended: number;
}

interface FileChange extends Change {
  readonly offset: number;
  /** Missing when the file was cut to the size `offset`. */
  readonly bytes: Buffer | undefined;
}

interface EntryChange extends Change {
  /** What has the name from now on; undefined when the name is gone. */
  readonly node: Node | undefined;
}

interface File {
  readonly kind: 'file';
  readonly changes: FileChange[];
  readonly syncs: Sync[];
}

interface Folder {
  readonly kind: 'folder';
  readonly entries: Map<string, EntryChange[]>;
  readonly syncs: Sync[];
}

type Node = File | Folder;

export interface Sync extends Change {
  readonly path: string;
  readonly kind: Node['kind'];
}

export interface Cut {
  readonly at: number;
  readonly random: Seeded;
  /** Syncs that are taken as never made, to see what a program without them would lose. */
  readonly ignores?: (sync: Sync) => boolean;
}

export class RecordedDisk {
  readonly #base: string;
  readonly #root: Folder = { kind: 'folder', entries: new Map(), syncs: [] };
  /** All successful syncs, in order. */
  readonly syncs: Sync[] = [];
  /** When the state of the disk may have changed. */
  readonly moments: number[] = [];

  /** `calls` are all that were ever made below the folder `base`. */
  constructor(base: string, calls: readonly Call[]) {
    this.#base = base;
    for (const call of calls) this.#apply(call);
  }

  #apply(call: Call): void {
    if (call.result < 0) return;
    const paths = call.strings.map((bytes) => this.#inside(bytes.toString()));
    const file = call.file === undefined ? undefined : this.#inside(call.file);
    switch (call.name) {
      case 'openat':
        if (paths[0] !== undefined) this.#open(call, paths[0]);
        return;
      case 'mkdir':
        if (paths[0]) this.#name(call, paths[0], { kind: 'folder', entries: new Map(), syncs: [] });
        return;
      case 'link':
      case 'rename': {
        const [from, to] = paths;
        if (from === undefined || to === undefined) return;
        const node = this.#find(from);
        assert(node, `${from} is not known`);
        this.#name(call, to, node);
        if (call.name === 'rename') this.#name(call, from, undefined);
        return;
      }
      case 'unlink':
        if (paths[0] !== undefined) this.#name(call, paths[0], undefined);
        return;
    }
    if (file === undefined || file.endsWith('(deleted)')) return;
    const node = this.#find(file);
    assert(node, `${file} is not known`);
    if (call.name === 'fsync' || call.name === 'fdatasync') {
      const sync = { began: call.began, ended: call.ended, path: file, kind: node.kind };
      node.syncs.push(sync);
      this.syncs.push(sync);
      this.#note(call);
      return;
    }
    assert(node.kind === 'file', `${call.name} on the folder ${file}`);
    this.#change(call, node);
  }

  #open(call: Call, path: string): void {
    const known = this.#find(path);
    if (!known && call.rest.includes('O_CREAT')) this.#name(call, path, { kind: 'file', changes: [], syncs: [] });
    else if (known?.kind === 'file' && call.rest.includes('O_TRUNC')) this.#push(call, known, 0, undefined);
  }

  #change(call: Call, file: File): void {
    const numbers = (call.rest.match(/-?\d+/g) ?? []).map(Number);
    const bytes = Buffer.concat(call.strings).subarray(0, call.result);
    switch (call.name) {
      case 'ftruncate':
        this.#push(call, file, numbers.at(-1) ?? 0, undefined);
        return;
      case 'write':
      case 'writev':
        // Whoever writes without saying where writes a file from its beginning to its end.
        this.#push(call, file, sizeAfter(file.changes), bytes);
        return;
      case 'pwrite64':
      case 'pwritev':
        this.#push(call, file, numbers.at(-1) ?? 0, bytes);
        return;
      default:
        assert.fail(`${call.name} is not understood`);
    }
  }

  #push(call: Call, file: File, offset: number, bytes: Buffer | undefined): void {
    file.changes.push({ began: call.began, ended: call.ended, offset, bytes });
    this.#note(call);
  }

  #name(call: Call, path: string, node: Node | undefined): void {
    const [name = '', ...parents] = path.split('/').reverse();
    const folder = this.#find(parents.reverse().join('/'));
    assert(folder?.kind === 'folder', `the folder of ${path} is not known`);
    const changes = folder.entries.get(name) ?? [];
    folder.entries.set(name, [...changes, { began: call.began, ended: call.ended, node }]);
    this.#note(call);
  }

  #note({ began, ended }: Call): void {
    this.moments.push(began + 1, ...(Number.isFinite(ended) ? [ended + 1] : []));
  }

  #inside(path: string): string | undefined {
    if (path === this.#base) return '';
    return path.startsWith(`${this.#base}/`) ? relative(this.#base, path) : undefined;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of path === '' ? [] : path.split('/')) {
      node = node?.kind === 'folder' ? node.entries.get(name)?.at(-1)?.node : undefined;
    }
    return node;
  }

  /** The changes to the bytes of a file and its syncs, whatever it is called at the end. */
  fileAt(path: string): { readonly changes: readonly FileChange[]; readonly syncs: readonly Sync[] } {
    const node = this.#find(path);
    assert(node?.kind === 'file', `${path} is no file`);
    return node;
  }

  /** Writes one of the possible states to the empty folder `target`. */
  async writeState(target: string, cut: Cut): Promise<void> {
    const { random } = cut;
    await writeFolder(this.#root, target, {
      ...cut,
      // How much of what was not synced is lost, and whether names reach the disk in the order in which they were made.
      loss: random.pick([0.2, 0.6, 1]),
      namesUntil: random.chance(0.4) ? random.int(0, cut.at) : undefined,
      pageBytes: random.pick([512, 4096]),
    });
  }

  /** Fails when what is in the folder is not what the calls make of an empty one: then the record is not complete. */
  async assertComplete(): Promise<void> {
    await compare(this.#root, this.#base);
  }
}

interface Loss extends Cut {
  readonly loss: number;
  readonly namesUntil: number | undefined;
  readonly pageBytes: number;
}

async function writeFolder(folder: Folder, target: string, loss: Loss): Promise<void> {
  for (const [name, all] of folder.entries) {
    const changes = all.filter(({ began }) => began < loss.at);
    const sure = surely(changes, folder.syncs, loss);
    const least = sure.lastIndexOf(true) + 1;
    const until = loss.namesUntil;
    const count =
      until === undefined ? chosen(least, changes.length, loss) : changes.filter(({ began }) => began < until).length;
    const node = changes[Math.max(count, least) - 1]?.node;
    if (!node) continue;
    const path = join(target, name);
    if (node.kind === 'folder') {
      await mkdir(path);
      await writeFolder(node, path, loss);
    } else if (!name.endsWith('-shm')) {
      // The server refuses a key that others may read.
      await writeFile(path, stateOf(node, loss), { mode: 0o600 });
    } else if (loss.random.chance(0.5)) {
      // Memory that processes share: nobody may count on what became of it.
      await writeFile(path, Buffer.alloc(32_768, loss.random.int(0, 256)));
    }
  }
}

/** For each change whether a sync that had returned before the cut covers it. */
function surely(changes: readonly Change[], syncs: readonly Sync[], { at, ignores }: Cut): boolean[] {
  const counted = syncs.filter((sync) => sync.ended < at && !ignores?.(sync));
  const until = Math.max(-1, ...counted.map(({ began }) => began));
  return changes.map(({ ended }) => ended < until);
}

/** How many of `most` changes took effect, of which `least` are sure. */
function chosen(least: number, most: number, { loss, random }: Loss): number {
  if (least === most || !random.chance(loss)) return most;
  return random.chance(0.5) ? least : random.int(least, most + 1);
}

function stateOf(file: File, loss: Loss): Buffer {
  const changes = file.changes.filter(({ began }) => began < loss.at);
  const sure = surely(changes, file.syncs, loss);
  const sized = chosen(sure.lastIndexOf(true) + 1, changes.length, loss);
  const state = Buffer.alloc(sizeAfter(changes.slice(0, sized)));
  for (const change of changes) apply(change, state, 0);
  // Each page that has changes which are not sure to be there has some first part of them.
  const unsure = new Set(
    changes.flatMap((change, i) => (sure[i] ? [] : pagesOf(change, state.length, loss.pageBytes))),
  );
  for (const page of unsure) {
    const start = page * loss.pageBytes;
    const touching = changes
      .map((change, i) => ({ change, sure: sure[i] }))
      .filter(({ change }) => {
        const end = change.bytes ? change.offset + change.bytes.length : Number.POSITIVE_INFINITY;
        return change.offset < start + loss.pageBytes && end > start;
      });
    const count = chosen(touching.findLastIndex((each) => each.sure) + 1, touching.length, loss);
    const bytes = state.subarray(start, start + loss.pageBytes).fill(0);
    for (const { change } of touching.slice(0, count)) apply(change, bytes, start);
  }
  return state;
}

function pagesOf({ offset, bytes }: FileChange, size: number, pageBytes: number): number[] {
  const end = Math.min(size, bytes ? offset + bytes.length : size);
  const first = Math.floor(offset / pageBytes);
  return Array.from({ length: Math.max(0, Math.ceil(end / pageBytes) - first) }, (_, i) => first + i);
}

/** Makes the change to the part of the file that begins at `start`. */
function apply({ offset, bytes }: FileChange, part: Buffer, start: number): void {
  if (!bytes) part.fill(0, Math.min(Math.max(0, offset - start), part.length));
  else if (offset >= start) bytes.copy(part, Math.min(offset - start, part.length));
  else bytes.copy(part, 0, Math.min(start - offset, bytes.length));
}

function sizeAfter(changes: readonly FileChange[]): number {
  let size = 0;
  for (const { offset, bytes } of changes) size = bytes ? Math.max(size, offset + bytes.length) : offset;
  return size;
}

async function compare(folder: Folder, path: string): Promise<void> {
  const names = [...folder.entries].filter(([, changes]) => changes.at(-1)?.node).map(([name]) => name);
  assert.deepEqual((await readdir(path)).sort(), names.sort(), `the names in ${path}`);
  for (const name of names) {
    const node = folder.entries.get(name)?.at(-1)?.node;
    const place = join(path, name);
    assert.equal((await stat(place)).isDirectory(), node?.kind === 'folder');
    if (node?.kind === 'folder') await compare(node, place);
    if (node?.kind !== 'file' || name.endsWith('-shm')) continue;
    const state = Buffer.alloc(sizeAfter(node.changes));
    for (const change of node.changes) apply(change, state, 0);
    assert.ok(state.equals(await readFile(place)), `${place} holds other bytes than were recorded`);
  }
}
