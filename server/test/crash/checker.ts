/**
 * The external checker (invariants I1, I3, I4): knows only the clients' log and HTTP. It reads everything that was
 * acknowledged and refuses every answer that is not the acknowledged bytes.
 */
import type { ImageLog, Ledger } from './ledger.ts';
import { digestOf, INDEX_TYPE, MANIFEST_TYPE, NoAnswer, REPO, type RegistryClient } from './registry-client.ts';

export interface Report {
  readonly violations: string[];
  /** What was read and found right. */
  readonly counts: { tags: number; manifests: number; blobs: number; bytes: number };
}

const AT_ONCE = 8;
const ACCEPT = { accept: `${MANIFEST_TYPE}, ${INDEX_TYPE}` };

export async function checkOverHttp(client: RegistryClient, ledger: Ledger): Promise<Report> {
  const report: Report = { violations: [], counts: { tags: 0, manifests: 0, blobs: 0, bytes: 0 } };
  for (const [name, log] of ledger.images) {
    const found = await checkManifests(client, report, name, log);
    await checkTags(client, report, name, log, found);
    await checkListing(client, report, name, log);
  }
  return report;
}

/** Returns the manifests that are there; what each names must be there too, acknowledged or not. */
async function checkManifests(
  client: RegistryClient,
  report: Report,
  name: string,
  log: ImageLog,
): Promise<Set<string>> {
  const found = new Set<string>();
  const blobs = new Map<string, number>();
  await forEach([...log.manifests], async ([digest, entry]) => {
    const path = `/v2/${REPO}/${name}/manifests/${digest}`;
    const answer = await read(client, report, path, ACCEPT);
    if (!answer) return;
    if (answer.status === 200) {
      if (!entry.present.has(true)) report.violations.push(`${path} is there although it was deleted`);
      if (digestOf(answer.body) !== digest) report.violations.push(`${path} has other bytes`);
      found.add(digest);
      report.counts.manifests += 1;
      for (const [blob, size] of entry.blobs) blobs.set(blob, size);
    } else if (answer.status !== 404) {
      report.violations.push(`${path} was answered ${answer.status}`);
    } else if (!entry.present.has(false)) {
      report.violations.push(`I1: the acknowledged manifest ${path} is lost`);
    }
  });
  await forEach([...blobs], async ([digest, size]) => {
    const path = `/v2/${REPO}/${name}/blobs/${digest}`;
    const answer = await read(client, report, path);
    if (!answer) return;
    if (answer.status !== 200) report.violations.push(`I1: a manifest needs ${path}, answered ${answer.status}`);
    else if (answer.body.length !== size || digestOf(answer.body) !== digest) {
      report.violations.push(`I3: ${path} has other bytes`);
    }
    report.counts.blobs += 1;
    report.counts.bytes += answer.body.length;
  });
  return found;
}

async function checkTags(
  client: RegistryClient,
  report: Report,
  name: string,
  log: ImageLog,
  found: ReadonlySet<string>,
): Promise<void> {
  await forEach([...log.tags], async ([tag, possible]) => {
    const path = `/v2/${REPO}/${name}/manifests/${tag}`;
    const answer = await read(client, report, path, ACCEPT);
    if (!answer) return;
    const state = answer.status === 200 ? digestOf(answer.body) : null;
    if (answer.status !== 200 && answer.status !== 404) report.violations.push(`${path} was answered ${answer.status}`);
    else if (!possible.has(state)) {
      report.violations.push(`I1: ${path} is ${state}, but only ${[...possible].join(' or ')} is possible`);
    } else if (state !== null && !found.has(state)) {
      report.violations.push(`I4: ${path} is readable by its tag but not by its digest`);
    }
    report.counts.tags += 1;
    // From here on its state is known.
    possible.clear();
    possible.add(state);
  });
}

async function checkListing(client: RegistryClient, report: Report, name: string, log: ImageLog): Promise<void> {
  const answer = await read(client, report, `/v2/${REPO}/${name}/tags/list?n=10000`);
  if (answer?.status !== 200) return;
  const listed = new Set((JSON.parse(answer.body.toString()) as { tags: string[] | null }).tags);
  const expected = new Set([...log.tags].flatMap(([tag, possible]) => (possible.has(null) ? [] : [tag])));
  for (const tag of listed.symmetricDifference(expected)) {
    report.violations.push(`I5: the list of tags of ${name} and its tag ${tag} disagree`);
  }
}

async function read(client: RegistryClient, report: Report, path: string, headers: Record<string, string> = {}) {
  try {
    return await client.request('GET', path, { headers });
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    report.violations.push(`I1: ${path} was not answered: ${error.message}`);
    return undefined;
  }
}

/** Does the work for each of them, a few at a time. */
export async function forEach<T>(values: readonly T[], work: (value: T) => Promise<void>): Promise<void> {
  const left = values[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const value of left) await work(value);
    }),
  );
}
