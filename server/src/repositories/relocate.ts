/** Copying and moving files and folders within and between repositories, as the REST API, WebDAV and promotions do it. */
import { AppError, STATUS } from '../core/errors.ts';
import { clip, joinPath, type Properties, type RepoPath, splitPath } from '../core/ids.ts';
import { canExchange } from '../core/package-types.ts';
import type { Principal } from '../core/principal.ts';
import { TRASH_KEY } from '../core/system-repositories.ts';
import { lockTree, type Tx } from '../db/database.ts';
import { getNode, getNodes } from '../db/nodes.ts';
import type { RepositoryRow } from '../db/repositories.ts';
import { countSubtree, getSubtreeNode, listSubtree, removeNodes, type SubtreeNode } from '../db/subtrees.ts';
import { planCompanions } from './companions.ts';
import { SMALL } from './deletion.ts';
import { type Outcome, storePrincipal, type TransferRequest, type TreeOperations } from './operations.ts';
import {
  ancestors,
  examineAll,
  noteSourceLeft,
  type Problem,
  startProgress,
  type Transfer,
  type TransferEnd,
  transferPage,
} from './transfer.ts';

export interface RelocateDeps {
  readonly operations: TreeOperations;
}

export interface Relocation {
  readonly principal: Principal;
  readonly from: { readonly repo: string; readonly path: RepoPath };
  /** A folder that is there takes the source in; otherwise the source gets this path. */
  readonly to: { readonly repo: string; readonly path: RepoPath };
  readonly copy: boolean;
  /** Changes nothing, after the same checks. */
  readonly dryRun?: boolean;
  /** Puts artifacts where the layout of the target wants them, if it is another. */
  readonly translates?: boolean;
  /** Set on every file that arrives. */
  readonly properties?: Properties;
  /** Nothing is done if anything is refused. */
  readonly failFast?: boolean;
  /** All in one transaction; refused for what is too large for one. */
  readonly atomic?: boolean;
  /** The source gets exactly the path, even where a folder is there, which then takes in what the source holds. */
  readonly exact?: boolean;
  /** What is at that path goes first, such as the image that a tag named before. */
  readonly replace?: boolean;
  /** Of the source, and of what it replaces, the files directly in the folder alone: those of one tag. */
  readonly shallow?: boolean;
}

export interface RelocationMessage {
  readonly level: 'INFO' | 'WARNING' | 'ERROR';
  readonly message: string;
  /** The HTTP status that fits an error. */
  readonly status?: number;
}

export interface RelocationResult {
  readonly messages: readonly RelocationMessage[];
  readonly files: number;
  readonly folders: number;
}

/** What one transaction may treat where the caller insists on one. */
const MAX_ATOMIC = 1000;

/**
 * Copies or moves a file or a folder with all it holds. What the caller may not read is passed over; what else is
 * refused becomes a message of the level ERROR, and the rest goes. Throws where nothing can go at all: `not_found`,
 * `invalid`, `conflict`, `forbidden`.
 */
export async function relocate(deps: RelocateDeps, request: Relocation): Promise<RelocationResult> {
  const { operations } = deps;
  const { database, veils } = operations.deps;
  const plan = await resolve(deps, request);
  const verb = request.copy ? 'copying' : 'moving';
  const done = request.copy ? 'copied' : 'moved';
  const what = `${verb} ${place(plan.from)} to ${place(plan.to)}`;
  const insist = (request.failFast ?? false) || (request.atomic ?? false) || plan.format?.place !== undefined;
  if (request.dryRun || insist) {
    const examined = await examineAll(database, plan);
    if (request.dryRun || examined.refused > 0) {
      const { files, folders } = request.dryRun ? examined : { files: 0, folders: 0 };
      const counts = `${files} artifacts and ${folders} folders would be ${done}`;
      const ending = examined.refused > 0 ? 'found problems' : `completed successfully, ${counts}`;
      const summary = `${request.dryRun ? 'Dry Run for ' : ''}${what} ${request.dryRun ? ending : 'was refused'}`;
      return result({ ...examined, files, folders }, summary);
    }
  }
  const inside = request.shallow
    ? 0
    : await database.read((db) => countSubtree(db, plan.from.repoId, plan.from.path, MAX_ATOMIC + 1));
  if (request.atomic && inside > MAX_ATOMIC) {
    throw new AppError(
      'invalid',
      `The folder holds more than ${MAX_ATOMIC} items, too many for one transaction. Send atomic=0.`,
    );
  }
  const companions = await planCompanions(deps, plan);
  const outcome =
    inside <= SMALL || request.atomic
      ? await veils.behind(() =>
          transferSmall(deps, [plan, ...companions], { insist, replace: request.replace ?? false }),
        )
      : await transferLarge(deps, plan, request);
  const summary = `${what} completed successfully, ${outcome.files} artifacts and ${outcome.folders} folders were ${done}`;
  return result(
    outcome,
    outcome.refused > 0 ? summary.replace('completed successfully', 'ended with errors') : summary,
  );
}

function place({ key, path }: TransferEnd): string {
  return `${key}:${clip(path, 300)}`;
}

function result(outcome: Outcome, summary: string): RelocationResult {
  const { files, folders, problems, refused } = outcome;
  const errors = problems.map(({ code, message }) => ({ level: 'ERROR' as const, message, status: STATUS[code] }));
  const more = refused - problems.length;
  const rest = more > 0 ? [{ level: 'ERROR' as const, message: `${more} more items were refused.`, status: 409 }] : [];
  return { messages: [...errors, ...rest, { level: 'INFO', message: summary }], files, folders };
}

/** Finds both ends and where the source comes to lie, and refuses what makes no sense. */
async function resolve(deps: RelocateDeps, request: Relocation): Promise<Transfer> {
  const { operations } = deps;
  const { repositories, database, reviewDelayMs } = operations.deps;
  const { principal, from, to, copy } = request;
  const source = repositories.open(from.repo, principal);
  const top = source && (await database.read((db) => getSubtreeNode(db, source.row.id, from.path)));
  const isFolder = from.path === '' || top?.folder === true;
  const known = isFolder ? source?.access.mayList(from.path) : top && source?.access.allows('read', from.path);
  if (!source || !known) {
    throw new AppError('not_found', `Could not find item at ${clip(joinPath(from.repo, from.path), 300)}.`);
  }
  const target = repositories.open(to.repo, principal);
  if (!target || target.row.rclass === 'remote') throw unknownTarget(deps, target?.row.key ?? to.repo, principal);
  requireFit(source.row, target.row);
  const path = await targetPath(deps, request, target.row, top);
  const ends = {
    from: { repoId: source.row.id, key: source.row.key, path: from.path, access: source.access },
    to: { repoId: target.row.id, key: target.row.key, path, access: target.access },
  };
  requireApart(ends.from, ends.to, top);
  if (request.replace && !request.shallow) requireOutside(ends.from, ends.to);
  await requireWay(deps, ends.to);
  if (!copy && from.path !== '') source.access.require('delete', from.path);
  const format = operations.formatOf(target.row.packageType);
  const translates = request.translates && !format?.place;
  return {
    ...ends,
    mode: copy ? 'copy' : 'move',
    format,
    ...(translates && { translation: operations.translationOf(source.row.key, target.row.key) }),
    properties: target.access.allows('annotate', path) ? (request.properties ?? {}) : {},
    ...(request.shallow && { shallow: true }),
    at: Date.now(),
    reviewDelayMs,
  };
}

/** As with `cp`: into a folder that is there, or else to the very path. */
async function targetPath(
  { operations }: RelocateDeps,
  { from, to, exact }: Relocation,
  target: RepositoryRow,
  top: SubtreeNode | undefined,
): Promise<RepoPath> {
  if (exact || !top) return to.path;
  const existing =
    to.path === '' ? { folder: true } : await operations.deps.database.read((db) => getNode(db, target.id, to.path));
  if (existing?.folder) return joinPath(to.path, splitPath(from.path).name);
  if (existing && top.folder) {
    throw new AppError(
      'conflict',
      `"${clip(joinPath(target.key, to.path), 300)}" is a file, so no folder can be put in its place.`,
    );
  }
  return to.path;
}

/** A file above the target would have to be a folder. */
async function requireWay({ operations }: RelocateDeps, { repoId, key, path }: TransferEnd): Promise<void> {
  const above = await operations.deps.database.read((db) => getNodes(db, repoId, ancestors(path)));
  const file = [...above.values()].find(({ folder }) => !folder);
  if (!file) return;
  const name = clip(joinPath(key, file.path), 300);
  throw new AppError('conflict', `"${name}" is a file, so nothing can be put below it.`);
}

function unknownTarget({ operations }: RelocateDeps, key: string, principal: Principal): AppError {
  const { repositories } = operations.deps;
  if (repositories.describe(key, principal) || repositories.open(key, principal)) {
    return new AppError('invalid', `Repository '${clip(key)}' is not a local repository, so nothing can be put there.`);
  }
  return new AppError('not_found', `Could not find the target repository "${clip(key)}".`);
}

function requireApart(from: TransferEnd, to: TransferEnd, top: SubtreeNode | undefined): void {
  if (from.repoId !== to.repoId) return;
  if (from.path === to.path) {
    throw new AppError('conflict', `"${clip(joinPath(from.key, from.path), 300)}" is source and target at once.`);
  }
  if (top && !top.folder) return;
  if (from.path === '' || to.path.startsWith(`${from.path}/`)) {
    throw new AppError(
      'conflict',
      `"${clip(joinPath(to.key, to.path), 300)}" lies in the folder that is to be put there.`,
    );
  }
}

/** What is to go first must not be what is to come. */
function requireOutside(from: TransferEnd, to: TransferEnd): void {
  if (from.repoId !== to.repoId || (to.path !== '' && !from.path.startsWith(`${to.path}/`))) return;
  throw new AppError(
    'conflict',
    `"${clip(joinPath(from.key, from.path), 300)}" lies in the folder that it is to take the place of.`,
  );
}

function requireFit(source: RepositoryRow, target: RepositoryRow): void {
  const [from, to] = [source.packageType, target.packageType];
  if (canExchange(from, to) && target.key !== TRASH_KEY && source.key !== TRASH_KEY) return;
  throw new AppError(
    'conflict',
    `The repository '${source.key}' holds ${from} packages and '${target.key}' ${to} packages, so nothing can go from one to the other.`,
  );
}

/** All of it in one transaction, with what belongs to it. */
async function transferSmall(
  { operations }: RelocateDeps,
  transfers: readonly Transfer[],
  { insist, replace }: { readonly insist: boolean; readonly replace: boolean },
): Promise<Outcome> {
  const { database, events, veils } = operations.deps;
  return database.transaction(async (tx) => {
    if (replace && transfers[0]) await clear(tx, transfers[0]);
    const total = { files: 0, folders: 0, problems: [] as Problem[], refused: 0 };
    for (const transfer of transfers) {
      const progress = startProgress();
      while (progress.phase !== 'done') await transferPage({ veils }, tx, transfer, progress);
      await noteSourceLeft(tx, transfer);
      total.files += progress.files;
      total.folders += progress.folders;
      total.refused += progress.refused;
      total.problems.push(...progress.problems);
    }
    const [problem] = total.problems;
    if (problem && insist) throw new AppError(problem.code, problem.message);
    const done = transfers.filter(({ mode }) => mode === 'copy' || total.files + total.folders > 0);
    await events.append(
      tx,
      done.map(({ from, to, mode }) => ({
        type: mode === 'copy' ? 'artifact.copied' : 'artifact.moved',
        repo: from.key,
        path: from.path,
        to: { repo: to.key, path: to.path },
      })),
      transfers[0]?.from.access.principalName ?? '',
    );
    return total;
  });
}

/** Takes away what is at the target, if the caller may delete all of it, and it is not too much for one transaction. */
async function clear(tx: Tx, { to, at, reviewDelayMs, shallow }: Transfer): Promise<void> {
  await lockTree(tx, to.repoId, 'exclusive');
  const page = { after: undefined, limit: MAX_ATOMIC + 1, shallow };
  const nodes = await listSubtree(tx, to.repoId, to.path, page);
  if (nodes.length > MAX_ATOMIC) {
    throw new AppError(
      'conflict',
      `"${clip(joinPath(to.key, to.path), 300)}" holds more than ${MAX_ATOMIC} items, too many to be replaced at once. Delete it first.`,
    );
  }
  for (const { folder, path } of nodes) if (!folder) to.access.require('delete', path);
  await removeNodes(tx, nodes, at + reviewDelayMs);
}

/** As an operation of many pages, which goes on whatever becomes of the caller. */
async function transferLarge({ operations }: RelocateDeps, plan: Transfer, request: Relocation): Promise<Outcome> {
  const { from, to, properties, at } = plan;
  const stored: TransferRequest = {
    from: { repo: from.key, path: from.path },
    to: { repo: to.key, path: to.path },
    mode: request.copy ? 'copy' : 'move',
    properties,
    translates: plan.translation !== undefined,
    principal: storePrincipal(request.principal),
  };
  const id = await operations.deps.veils.behind(() =>
    operations.deps.database.transaction(async (tx) => {
      await operations.deps.veils.requireFree(tx, from.repoId, [from.path]);
      await operations.deps.veils.requireFree(tx, to.repoId, [to.path]);
      return operations.begin(tx, {
        kind: stored.mode === 'copy' ? 'copy' : 'move',
        repoId: from.repoId,
        path: from.path,
        hides: false,
        request: stored,
        createdAt: at,
        createdBy: from.access.principalName,
      });
    }),
  );
  return operations.outcome(id);
}
