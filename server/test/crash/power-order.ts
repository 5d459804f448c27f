/** The order of calls behind each acknowledged write (invariant I2), read from the record. */

import type { Recording, Step } from './power-recording.ts';
import type { Call } from './power-trace.ts';
import { digestOf } from './registry-client.ts';

export interface Order {
  /** What is not as it must be. */
  readonly disorder: string[];
  readonly checked: { commits: number; objects: number };
}

const LOG = /\/metadata\.db-wal$/;
const FRAME_HEADER_BYTES = 24;

/**
 * For each acknowledged write: sync of the staged bytes, rename, sync of the folder, commit to the log, sync of the log,
 * and only then the answer. Bytes that are kept in the database have only the last three.
 */
export function findDisorder(recording: Recording): Order {
  const calls = recording.calls.filter(({ result }) => result >= 0);
  const order: Order = { disorder: [], checked: { commits: 0, objects: 0 } };
  const previous = new Map<number, number>();
  for (const step of recording.steps) {
    const reply = recording.repliedAt(step);
    const since = previous.get(step.lane) ?? 0;
    previous.set(step.lane, reply);
    const sha256 = contentOf(step);
    const placed = sha256 === undefined ? undefined : placeOf(calls, sha256, since, reply);
    if (placed) {
      order.checked.objects += 1;
      for (const missing of missingBefore(calls, placed)) order.disorder.push(`${step.id}: ${missing}`);
    }
    order.checked.commits += 1;
    const from = placed ? (folderSync(calls, placed)?.ended ?? placed.ended) : since;
    if (!isCommitted(calls, { sha256, from, reply })) {
      order.disorder.push(`${step.id} was answered before its commit to the log was synced`);
    }
  }
  return order;
}

/** The digest that the commit of a step writes to the log. */
function contentOf({ effect }: Step): string | undefined {
  const digest = {
    blob: () => effect.kind === 'blob' && effect.blob.digest,
    manifest: () => effect.kind === 'manifest' && effect.pushed.digest,
    file: () => effect.kind === 'file' && effect.bytes !== undefined && digestOf(effect.bytes),
    untag: () => false as const,
    remove: () => false as const,
  }[effect.kind]();
  return digest === false ? undefined : digest.slice('sha256:'.length);
}

/** The rename that gave the bytes their final name. */
function placeOf(calls: readonly Call[], sha256: string, since: number, until: number): Call | undefined {
  return calls.find(
    ({ name, strings, began }) =>
      name === 'rename' && began > since && began < until && strings[1]?.includes(`/${sha256}.`),
  );
}

function missingBefore(calls: readonly Call[], rename: Call): string[] {
  const staged = rename.strings[0]?.toString();
  const own = calls.filter(({ file }) => file === staged);
  const lastWrite = own.findLast(({ name }) => /^p?writev?(64)?$|^ftruncate$/.test(name));
  const synced = own.some(
    ({ name, began, ended }) => isSync(name) && lastWrite && began > lastWrite.ended && ended < rename.began,
  );
  return [
    ...(lastWrite ? [] : ['its bytes were never written']),
    ...(synced ? [] : ['its bytes were renamed before they were synced']),
    ...(folderSync(calls, rename) ? [] : ['the folder was not synced after the rename']),
  ];
}

function folderSync(calls: readonly Call[], rename: Call): Call | undefined {
  const folder = rename.strings[1]?.toString().replace(/\/[^/]*$/, '');
  return calls.find(({ name, file, began }) => isSync(name) && file === folder && began > rename.ended);
}

interface Wanted {
  readonly sha256: string | undefined;
  readonly from: number;
  readonly reply: number;
}

/** Whether a transaction was committed and then synced between these moments; one that names the content, if any. */
function isCommitted(calls: readonly Call[], { sha256, from, reply }: Wanted): boolean {
  const log = calls.filter(({ file, began, ended }) => file && LOG.test(file) && began > from && ended < reply);
  const writes = log.filter(({ name }) => name === 'pwrite64');
  const named = sha256 === undefined ? 0 : writes.findIndex(({ strings }) => strings[0]?.includes(sha256));
  if (named < 0) return false;
  // The content may be in the very page whose header, written before it, ends the transaction.
  const header = writes.findIndex((call, i) => i >= named - 1 && endsTransaction(call));
  const commit = header < 0 ? undefined : writes[header + 1];
  return commit !== undefined && log.some(({ name, began }) => isSync(name) && began > commit.ended);
}

/** Only the last page of a transaction says how many pages the database has then. */
function endsTransaction({ strings }: Call): boolean {
  const [header] = strings;
  return header?.length === FRAME_HEADER_BYTES && header.readUInt32BE(4) !== 0;
}

function isSync(name: string): boolean {
  return name === 'fsync' || name === 'fdatasync';
}
