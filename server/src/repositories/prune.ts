/** Removes folders that a deletion or a move left empty; those that somebody made for their own sake stay. */
import { type Database, lockTree } from '../db/database.ts';
import { listLeft, pruneFolder } from '../db/tree-operations.ts';

const PAGE = 50;

/** Looks at every folder out of which something went, and then at the one above each that it removes. */
export async function pruneEmptyFolders(database: Database, proceed: () => Promise<void>): Promise<number> {
  let removed = 0;
  for (;;) {
    await proceed();
    const left = await database.read((db) => listLeft(db, PAGE));
    if (left.length === 0) return removed;
    for (const [repoId, folders] of Map.groupBy(left, (each) => each.repoId)) {
      removed += await database.transaction(
        async (tx) => {
          await lockTree(tx, repoId, 'exclusive');
          let pruned = 0;
          for (const { path } of folders) if (await pruneFolder(tx, repoId, path)) pruned += 1;
          return pruned;
        },
        { durable: false },
      );
    }
    await new Promise(setImmediate);
  }
}
