/** Changing the properties of an item and, for a folder, of all that lies in it. */
import { AppError } from '../core/errors.ts';
import { clip, joinPath, type RepoPath } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import { lockTree, type Tx } from '../db/database.ts';
import { changePropertiesOf, type PropertyChange } from '../db/properties.ts';
import { countSubtree, getSubtreeNode, listSubtree, type SubtreeNode } from '../db/subtrees.ts';
import type { TreeOperations } from './operations.ts';

export interface Annotation {
  readonly principal: Principal;
  readonly repo: string;
  readonly path: RepoPath;
  readonly change: PropertyChange;
  /** A folder's change applies to everything below it. */
  readonly recursive: boolean;
  /** In one transaction, or not at all. */
  readonly atomic: boolean;
}

/** Nodes that one transaction may change where the caller insists on one. */
const MAX_ATOMIC = 1000;
const PAGE = 100;

/**
 * Changes properties where the caller may: the item itself must allow it, and below a folder what does not is passed
 * over, or, atomically, refuses all of it. `not_found` where there is nothing the caller may see.
 */
export async function annotateItem(operations: TreeOperations, annotation: Annotation): Promise<void> {
  const { repositories, database, veils } = operations.deps;
  const { repo, path, change, recursive, atomic } = annotation;
  const opened = repositories.open(repo, annotation.principal);
  if (!opened) throw new AppError('not_found', 'Unable to find item');
  const { row, access } = opened;
  const top = await database.read((db) => getSubtreeNode(db, row.id, path));
  const readable = top?.folder || path === '' ? access.mayList(path) : access.allows('read', path);
  if ((!top && path !== '') || veils.hides(row.id, path) || !readable) {
    throw new AppError('not_found', 'Unable to find item');
  }
  access.require('annotate', path);
  const spec = { repoId: row.id, key: row.key, path, change, access };
  const below = recursive && (top?.folder ?? true);
  if (atomic && below) {
    const count = await database.read((db) => countSubtree(db, row.id, path, MAX_ATOMIC + 1));
    if (count > MAX_ATOMIC) {
      throw new AppError(
        'invalid',
        `The folder holds more than ${MAX_ATOMIC} items, too many for one transaction. Send atomic=0.`,
      );
    }
    return veils.behind(() => database.transaction((tx) => annotateAll(operations, tx, spec)));
  }
  await veils.behind(() =>
    database.transaction(async (tx) => {
      await annotateTop(operations, tx, spec);
    }),
  );
  if (below) await annotateBelow(operations, spec);
}

interface Spec extends Pick<Annotation, 'path' | 'change'> {
  readonly repoId: number;
  readonly key: NonNullable<ReturnType<TreeOperations['deps']['repositories']['open']>>['row']['key'];
  readonly access: NonNullable<ReturnType<TreeOperations['deps']['repositories']['open']>>['access'];
}

async function annotateTop({ deps }: TreeOperations, tx: Tx, spec: Spec): Promise<void> {
  await enter(deps, tx, spec);
  const top = await getSubtreeNode(tx, spec.repoId, spec.path);
  if (!top && spec.path !== '') throw new AppError('not_found', 'Unable to find item');
  if (top) await changePropertiesOf(tx, [top.id], spec.change);
  const event = { type: 'properties.changed', repo: spec.key, path: spec.path } as const;
  await deps.events.append(tx, [event], spec.access.principalName);
}

async function annotateAll(operations: TreeOperations, tx: Tx, spec: Spec): Promise<void> {
  await annotateTop(operations, tx, spec);
  for (let after: RepoPath | undefined; ; ) {
    const page: SubtreeNode[] = await listSubtree(tx, spec.repoId, spec.path, { after, limit: PAGE });
    for (const node of page) {
      if (spec.access.allows('annotate', node.path)) continue;
      if (spec.access.allows('read', node.path)) spec.access.require('annotate', node.path);
      const folder = clip(joinPath(spec.key, spec.path), 300);
      throw new AppError('forbidden', `"${folder}" holds something whose properties you may not change.`);
    }
    await changePropertiesOf(
      tx,
      page.map(({ id }) => id),
      spec.change,
    );
    after = page.at(-1)?.path;
    if (page.length < PAGE) return;
  }
}

/** A page in each transaction; what comes later by the order of paths is found, what comes earlier is not waited for. */
async function annotateBelow({ deps }: TreeOperations, spec: Spec): Promise<void> {
  const { database, veils } = deps;
  for (let after: RepoPath | undefined; ; ) {
    const from = after;
    const page = await veils.behind(() =>
      database.transaction(
        async (tx) => {
          await enter(deps, tx, spec);
          const nodes = await listSubtree(tx, spec.repoId, spec.path, { after: from, limit: PAGE });
          const allowed = nodes.filter(({ path }) => spec.access.allows('annotate', path));
          await changePropertiesOf(
            tx,
            allowed.map(({ id }) => id),
            spec.change,
          );
          return nodes;
        },
        { durable: false },
      ),
    );
    after = page.at(-1)?.path;
    await new Promise(setImmediate);
    if (page.length < PAGE) break;
  }
  await database.dialect.flush();
}

async function enter(deps: TreeOperations['deps'], tx: Tx, { repoId, path }: Spec): Promise<void> {
  await lockTree(tx, repoId, 'shared');
  await deps.veils.requireFree(tx, repoId, [path]);
}
