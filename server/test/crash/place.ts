/** Where a server under test keeps its data, which outlives the server. */
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import type { BlobDriver } from '../../src/blobs/driver.ts';
import { openFsDriver } from '../../src/blobs/drivers/fs.ts';
import { openS3Driver } from '../../src/blobs/drivers/s3.ts';
import { type PostgresServer, sharedPostgres } from '../support/postgres.ts';
import { type S3Server, sharedS3 } from '../support/s3.ts';

export type Storage = 'sqlite-fs' | 'postgres-s3';

export type Row = Readonly<Record<string, unknown>>;

export interface Place {
  readonly storage: Storage;
  readonly dataDir: string;
  /** The same at each start, since clients and their tokens know the server by it. */
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  /** Speaks SQL to the database past the server, as an administrator would. */
  sql(text: string): Promise<Row[]>;
  openDriver(): BlobDriver;
  remove(): Promise<void>;
}

export interface PlaceOptions {
  /** A folder for the data instead of a temporary one. */
  readonly dataDir?: string;
  readonly postgres?: PostgresServer;
  /** Where the server finds S3, when that is not the shared one itself. */
  readonly s3Endpoint?: (upstream: S3Server) => Promise<string>;
}

/** Makes an empty place of its own. */
export async function createPlace(storage: Storage, options: PlaceOptions = {}): Promise<Place> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'entrepot-crash-')));
  const port = await stablePort();
  const removeData = () => rm(dataDir, { recursive: true, force: true });
  if (storage === 'sqlite-fs') {
    return {
      storage,
      dataDir,
      port,
      env: { ENTREPOT_STORAGE__FREE_SPACE_FLOOR_BYTES: '0' },
      sql: async (text) => querySqlite(join(dataDir, 'metadata.db'), text),
      openDriver: () => openFsDriver({ root: join(dataDir, 'blobs'), freeSpaceFloorBytes: 0 }),
      remove: removeData,
    };
  }
  const [postgres, s3] = await Promise.all([options.postgres ?? sharedPostgres(), sharedS3()]);
  const [url, bucket] = await Promise.all([postgres.createDatabase(), s3.createBucket()]);
  const credentials = { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey };
  return {
    storage,
    dataDir,
    port,
    env: {
      ENTREPOT_DATABASE__URL: url,
      ENTREPOT_STORAGE__DRIVER: 's3',
      ENTREPOT_STORAGE__S3__ENDPOINT: (await options.s3Endpoint?.(s3)) ?? s3.endpoint,
      ENTREPOT_STORAGE__S3__BUCKET: bucket,
      ENTREPOT_STORAGE__S3__ACCESS_KEY_ID: s3.accessKeyId,
      ENTREPOT_STORAGE__S3__SECRET_ACCESS_KEY: s3.secretAccessKey,
    },
    sql: (text) => queryPostgres(url, text),
    openDriver: () => openS3Driver({ endpoint: s3.endpoint, region: s3.region, bucket, credentials, pathStyle: true }),
    async remove() {
      await postgres.dropDatabase(url);
      await removeData();
    },
  };
}

/**
 * A free port below those that the system gives to outgoing connections: one of these could take it while the server
 * is down.
 */
async function stablePort(): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 32_000);
    const isFree = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

function querySqlite(file: string, text: string): Row[] {
  const database = new DatabaseSync(file, { timeout: 5000 });
  try {
    return database.prepare(text).all();
  } finally {
    database.close();
  }
}

async function queryPostgres(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}
