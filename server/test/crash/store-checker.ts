/**
 * The checker's second mode (invariants I5, I9, I10): reads the database and the store past a server, which should
 * be stopped or idle, and compares the two with each other.
 */
import { createHash } from 'node:crypto';
import type { BlobDriver } from '../../src/blobs/driver.ts';
import { eventually } from '../support/eventually.ts';
import type { Place } from './place.ts';

interface BlobRecord {
  readonly sha256: string;
  readonly size: number;
  readonly store_key: string | null;
  readonly bytes: Uint8Array | null;
}

interface FileRecord {
  readonly repo_id: number;
  readonly package: string;
  readonly sha256: string;
  readonly version: string | null;
}

/** Compares rows and objects; every object is read. Returns what is wrong. */
export function checkAtRest(place: Place): Promise<string[]> {
  return withDriver(place, async (driver) => {
    const violations = await checkDatabase(place);
    const blobs = (await place.sql(
      'select b.sha256, b.size, b.store_key, c.bytes from blob b left join blob_content c on c.sha256 = b.sha256',
    )) as unknown as BlobRecord[];
    const contents = new Map<string, Buffer>();
    for (const blob of blobs) {
      const bytes = await bytesOf(driver, blob).catch((error: Error) => error);
      if (bytes instanceof Error) violations.push(`I5: blob ${blob.sha256} cannot be read: ${bytes.message}`);
      else if (bytes.length !== Number(blob.size) || createHash('sha256').update(bytes).digest('hex') !== blob.sha256) {
        violations.push(`I5: blob ${blob.sha256} has other bytes than its row says`);
      } else contents.set(blob.sha256, bytes);
    }
    violations.push(...(await checkManifests(place, contents)));
    const trash = await place.sql('select store_key from object_trash');
    const known = new Set([...blobs, ...trash].map((row) => row.store_key));
    for await (const { key } of driver.list()) {
      if (!known.has(key)) violations.push(`I9: no row knows the object ${key}`);
    }
    return violations;
  });
}

async function checkDatabase(place: Place): Promise<string[]> {
  if (place.storage !== 'sqlite-fs') return [];
  const integrity = await place.sql('pragma integrity_check');
  const foreign = await place.sql('pragma foreign_key_check');
  return [
    ...integrity.filter((row) => row['integrity_check'] !== 'ok').map((row) => `I10: ${row['integrity_check']}`),
    ...foreign.map((row) => `I10: a foreign key is broken: ${JSON.stringify(row)}`),
  ];
}

async function bytesOf(driver: BlobDriver, blob: BlobRecord): Promise<Buffer> {
  if (blob.bytes) return Buffer.from(blob.bytes);
  if (blob.store_key === null) throw new Error('it has neither bytes nor an object');
  const chunks: Buffer[] = [];
  for await (const chunk of (await driver.open(blob.store_key)) as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Every manifest's children are files of the same package. */
async function checkManifests(place: Place, contents: ReadonlyMap<string, Buffer>): Promise<string[]> {
  const violations: string[] = [];
  const files = (await place.sql(
    'select n.repo_id, n.package, n.sha256, v.version from node n left join package_version v on v.node_id = n.id where n.sha256 is not null',
  )) as unknown as FileRecord[];
  const held = new Set(files.map((file) => `${file.repo_id}/${file.package}/${file.sha256}`));
  for (const { repo_id, package: name, sha256, version } of files) {
    const bytes = contents.get(sha256);
    if (version === null || !bytes) continue;
    const manifest = JSON.parse(bytes.toString()) as Partial<Record<'config' | 'layers' | 'manifests', unknown>>;
    for (const child of [manifest.config, manifest.layers, manifest.manifests].flat()) {
      const digest = (child as { digest?: string } | undefined)?.digest;
      if (digest === undefined || held.has(`${repo_id}/${name}/${digest.slice('sha256:'.length)}`)) continue;
      violations.push(`I5: ${name}:${version} names ${digest}, which is not there`);
    }
  }
  return violations;
}

/**
 * Lets all delays be over, such as the hour after which an object that no change adopted counts as left behind. The
 * server must be stopped: for one that runs they would end in the middle of a push.
 */
export async function letTimePass(place: Place): Promise<void> {
  await place.sql('update object_trash set not_before = 0');
  await place.sql('update blob_review set review_after = 0');
}

/** Waits until the running server, whose graces must be short, has given back all temporary space. */
export function checkSpaceReturned(place: Place, limitMs = 20_000): Promise<void> {
  return withDriver(place, async (driver) => {
    await eventually(async () => {
      const left: Record<string, readonly unknown[]> = {};
      for (const table of ['object_trash', 'blob_review', 'upload']) {
        left[table] = await place.sql(`select * from ${table} limit 5`);
      }
      left['staging'] = await Array.fromAsync(driver.staged());
      const used = Object.entries(left).filter(([, rows]) => rows.length > 0);
      if (used.length > 0) throw new Error(`I9: not given back: ${JSON.stringify(Object.fromEntries(used))}`);
    }, limitMs);
    const live = new Set((await place.sql('select store_key from blob')).map((row) => row['store_key']));
    for await (const { key } of driver.list()) {
      if (!live.has(key)) throw new Error(`I9: the object ${key} belongs to no blob`);
    }
  });
}

export async function withDriver<T>(place: Place, work: (driver: BlobDriver) => Promise<T>): Promise<T> {
  const driver = place.openDriver();
  await driver.start();
  try {
    return await work(driver);
  } finally {
    await driver.stop();
  }
}
