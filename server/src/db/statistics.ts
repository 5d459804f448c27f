/** Rows of statistics: how often files were fetched. */
import { chunks } from './blobs.ts';
import { type Db, isPostgres, type Tx } from './database.ts';
import { prepared } from './prepared.ts';

export interface Downloads {
  readonly nodeId: number;
  readonly count: number;
  readonly at: number;
  readonly by: string;
}

export interface Statistic {
  readonly downloads: number;
  readonly downloadedAt: number;
  readonly downloadedBy: string | undefined;
  readonly remoteDownloads: number;
  readonly remoteDownloadedAt: number;
}

/** What is given is set, the rest stays. */
export type StatisticChange = Partial<Statistic>;

/**
 * A file that was deleted meanwhile gets no row, which is why this selects what it inserts. One that is being deleted
 * is waited for: PostgreSQL would find it, and then refuse the row. SQLite has one writer anyway.
 */
const addRow = prepared(4, (db, count: number, at: number, by: string, nodeId: number) =>
  db
    .insertInto('statistic')
    .columns(['node_id', 'downloads', 'downloaded_at', 'downloaded_by', 'remote_downloads'])
    .expression((eb) => {
      const file = eb
        .selectFrom('node')
        .select(({ val, cast, ref }) => [
          ref('node.id').as('node_id'),
          cast<number>(val(count), 'bigint').as('downloads'),
          cast<number>(val(at), 'bigint').as('downloaded_at'),
          cast<string>(val(by), 'text').as('downloaded_by'),
          cast<number>(val(0), 'bigint').as('remote_downloads'),
        ])
        .where('node.id', '=', nodeId)
        .where('node.folder', '=', 0);
      return isPostgres(db) ? file.forKeyShare() : file;
    })
    .onConflict((conflict) =>
      conflict.column('node_id').doUpdateSet((eb) => ({
        downloads: eb('statistic.downloads', '+', eb.ref('excluded.downloads')),
        downloaded_at: eb.ref('excluded.downloaded_at'),
        downloaded_by: eb.ref('excluded.downloaded_by'),
      })),
    )
    .returning('node_id'),
);

/** Adds downloads of files; those that are gone are passed over. */
export async function addDownloads(tx: Tx, downloads: readonly Downloads[]): Promise<void> {
  // In the order of the rows, so that two nodes that write at once do not wait for each other.
  const inOrder = downloads.toSorted((a, b) => a.nodeId - b.nodeId);
  for (const { nodeId, count, at, by } of inOrder) await addRow(tx, count, at, by, nodeId);
}

export async function getStatistic(db: Db, nodeId: number): Promise<Statistic> {
  const row = await db.selectFrom('statistic').selectAll().where('node_id', '=', nodeId).executeTakeFirst();
  return {
    downloads: row?.downloads ?? 0,
    downloadedAt: row?.downloaded_at ?? 0,
    downloadedBy: row?.downloaded_by ?? undefined,
    remoteDownloads: row?.remote_downloads ?? 0,
    remoteDownloadedAt: row?.remote_downloaded_at ?? 0,
  };
}

/** When files were last fetched, for those of the nodes that ever were. */
export async function listDownloadTimes(db: Db, nodeIds: readonly number[]): Promise<Map<number, number>> {
  const found = new Map<number, number>();
  for (const chunk of chunks(nodeIds)) {
    const rows = await db
      .selectFrom('statistic')
      .select(['node_id', 'downloaded_at'])
      .where('node_id', 'in', chunk)
      .where('downloaded_at', 'is not', null)
      .execute();
    for (const row of rows) found.set(row.node_id, row.downloaded_at ?? 0);
  }
  return found;
}

export async function changeStatistic(tx: Tx, nodeId: number, change: StatisticChange): Promise<void> {
  const set = {
    ...(change.downloads !== undefined && { downloads: change.downloads }),
    ...(change.downloadedAt !== undefined && { downloaded_at: change.downloadedAt }),
    ...(change.downloadedBy !== undefined && { downloaded_by: change.downloadedBy }),
    ...(change.remoteDownloads !== undefined && { remote_downloads: change.remoteDownloads }),
    ...(change.remoteDownloadedAt !== undefined && { remote_downloaded_at: change.remoteDownloadedAt }),
  };
  if (Object.keys(set).length === 0) return;
  await tx
    .insertInto('statistic')
    .values({ node_id: nodeId, downloads: 0, downloaded_at: null, downloaded_by: null, remote_downloads: 0, ...set })
    .onConflict((conflict) => conflict.column('node_id').doUpdateSet(set))
    .execute();
}
