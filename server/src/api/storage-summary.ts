/** How much is stored: counted in the background, a piece at a time, and answered from the last count. */
import { statfs } from 'node:fs/promises';
import { cacheKeyOf } from '../core/cache-keys.ts';
import type { Reply } from '../core/protocol.ts';
import { TRASH_KEY } from '../core/system-repositories.ts';
import type { Database } from '../db/database.ts';
import { countBlobs, countNodes } from '../db/node-listings.ts';
import { listRepositories, type RepositoryRow } from '../db/repositories.ts';
import { displayPackageType } from './repository-settings.ts';
import { READ, type Route, route } from './route.ts';

export interface StorageSummaryDeps {
  readonly database: Database;
  readonly driver: { readonly name: string };
  readonly dataDir: string;
}

interface RepositoryCount {
  folders: number;
  files: number;
  sizeBytes: number;
}

interface Count {
  readonly at: number;
  readonly blobs: number;
  readonly blobBytes: number;
  readonly byRepository: ReadonlyMap<number, RepositoryCount>;
}

const PAGE = 5000;
const MAX_AGE_MS = 5 * 60_000;

export function storageSummaryRoutes(deps: StorageSummaryDeps): readonly Route[] {
  const counter = new Counter(deps.database);
  return [
    route({
      methods: READ,
      pattern: 'artifactory/api/storageinfo',
      right: 'admin',
      handle: async () => ({ status: 200, json: await render(deps, await counter.latest()) }),
    }),
    route({
      methods: ['POST'],
      pattern: 'artifactory/api/storageinfo/calculate',
      right: 'admin',
      async handle(): Promise<Reply> {
        counter.begin();
        return { status: 202, json: { info: 'Calculating storage summary scheduled to run successfully' } };
      },
    }),
  ];
}

/** Holds the last count, and makes a new one when it is old or when asked to. */
class Counter {
  readonly #database: Database;
  #last: Count | undefined;
  #running: Promise<Count> | undefined;

  constructor(database: Database) {
    this.#database = database;
  }

  /** The last count, and only the first time the wait for one; an old one is replaced for the next to ask. */
  async latest(): Promise<Count> {
    const last = this.#last;
    if (!last) return this.#count();
    if (Date.now() - last.at > MAX_AGE_MS) this.begin();
    return last;
  }

  /** A failure leaves the last count in force; whoever asks next tries again. */
  begin(): void {
    void this.#count().catch(() => undefined);
  }

  #count(): Promise<Count> {
    this.#running ??= countAll(this.#database)
      .then((count) => {
        this.#last = count;
        return count;
      })
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }
}

async function countAll(database: Database): Promise<Count> {
  const at = Date.now();
  const byRepository = new Map<number, RepositoryCount>();
  for (let after: number | undefined = 0; after !== undefined; ) {
    const from: number = after;
    const { counts, last } = await database.read((db) => countNodes(db, from, PAGE));
    for (const { repoId, folder, count, sizeBytes } of counts) {
      const sum = byRepository.get(repoId) ?? { folders: 0, files: 0, sizeBytes: 0 };
      byRepository.set(repoId, sum);
      if (folder) sum.folders += count;
      else sum.files += count;
      sum.sizeBytes += sizeBytes;
    }
    after = last;
    await new Promise(setImmediate);
  }
  let [blobs, blobBytes] = [0, 0];
  for (let after: string | undefined = ''; after !== undefined; ) {
    const from: string = after;
    const page = await database.read((db) => countBlobs(db, from, PAGE));
    blobs += page.count;
    blobBytes += page.sizeBytes;
    after = page.last;
    await new Promise(setImmediate);
  }
  return { at, blobs, blobBytes, byRepository };
}

async function render(deps: StorageSummaryDeps, count: Count) {
  const repositories = await deps.database.read(listRepositories);
  const counts = repositories.map((row) => ({
    row,
    count: count.byRepository.get(row.id) ?? { folders: 0, files: 0, sizeBytes: 0 },
  }));
  const total = counts.reduce(
    (sum, each) => ({
      folders: sum.folders + each.count.folders,
      files: sum.files + each.count.files,
      sizeBytes: sum.sizeBytes + each.count.sizeBytes,
    }),
    { folders: 0, files: 0, sizeBytes: 0 },
  );
  return {
    binariesSummary: {
      binariesCount: thousands(count.blobs),
      binariesSize: renderSize(count.blobBytes),
      artifactsSize: renderSize(total.sizeBytes),
      optimization: percent(count.blobBytes, total.sizeBytes),
      itemsCount: thousands(total.folders + total.files),
      artifactsCount: thousands(total.files),
    },
    fileStoreSummary: await renderFileStore(deps, count),
    repositoriesSummaryList: [
      ...counts.map(({ row, count }) => ({
        // What a remote repository uses is what it holds.
        repoKey: row.rclass === 'remote' ? cacheKeyOf(row.key) : row.key,
        repoType: typeOf(row),
        ...renderCount(count),
        packageType: row.key === TRASH_KEY ? 'NA' : displayPackageType(row.packageType),
        projectKey: 'default',
        percentage: row.key === TRASH_KEY ? 'N/A' : percent(count.sizeBytes, total.sizeBytes),
      })),
      { repoKey: 'TOTAL', repoType: 'NA', ...renderCount(total) },
    ],
  };
}

function typeOf({ key, rclass }: RepositoryRow): string {
  if (key === TRASH_KEY) return 'NA';
  return rclass === 'remote' ? 'CACHE' : rclass.toUpperCase();
}

function renderCount({ folders, files, sizeBytes }: RepositoryCount) {
  return {
    foldersCount: folders,
    filesCount: files,
    usedSpace: renderSize(sizeBytes),
    usedSpaceInBytes: sizeBytes,
    itemsCount: folders + files,
  };
}

async function renderFileStore({ driver, dataDir }: StorageSummaryDeps, count: Count) {
  if (driver.name !== 'fs') {
    const none = renderSize(0);
    return {
      storageType: driver.name,
      storageDirectory: '',
      totalSpace: none,
      usedSpace: renderSize(count.blobBytes),
      freeSpace: none,
    };
  }
  const { blocks, bavail, bsize } = await statfs(dataDir);
  const [all, free] = [blocks * bsize, bavail * bsize];
  return {
    storageType: 'file-system',
    storageDirectory: dataDir,
    totalSpace: renderSize(all),
    usedSpace: `${renderSize(all - free)} (${percent(all - free, all)})`,
    freeSpace: `${renderSize(free)} (${percent(free, all)})`,
  };
}

/** In the form that clients parse: `bytes`, or two decimals of a larger unit. */
export function renderSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const units = ['KB', 'MB', 'GB', 'TB'];
  const step = Math.min(Math.floor(Math.log2(bytes) / 10), units.length);
  return `${(bytes / 1024 ** step).toFixed(2)} ${units[step - 1]}`;
}

function thousands(count: number): string {
  return count.toLocaleString('en-US');
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '0%' : `${((100 * part) / whole).toFixed(2)}%`;
}
