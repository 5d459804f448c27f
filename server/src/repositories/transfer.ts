/**
 * Takes everything below a path to another place, a page at a time: folders first, then files, then the folders that
 * are left empty. Every file is at one of the two places at any moment, and a transfer that was cut goes on where it
 * stood, since it looks at what is there.
 */
import { AppError, isAppError } from '../core/errors.ts';
import type { Format } from '../core/format.ts';
import { clip, joinPath, type Properties, parseRepoPath, type RepoKey, type RepoPath, splitPath } from '../core/ids.ts';
import { type Database, type Db, lockTree, type Tx } from '../db/database.ts';
import { ensureFolders, getNodes, type NodeRow } from '../db/nodes.ts';
import { changeProperties, hasProperties } from '../db/properties.ts';
import {
  deleteEmptyFolders,
  deleteFolderIfEmpty,
  getSubtreeNode,
  listSubtree,
  removeNodes,
  type SubtreeNode,
} from '../db/subtrees.ts';
import { copyFiles, copyFolders, dropProperties, moveFiles, type TransferredFile } from '../db/transfers.ts';
import { noteLeft } from '../db/tree-operations.ts';
import type { Access } from './leaf.ts';
import { type Translation, translatedPath } from './translation.ts';
import type { Veils } from './veils.ts';

export interface TransferEnd {
  readonly repoId: number;
  readonly key: RepoKey;
  readonly path: RepoPath;
  readonly access: Access;
}

export interface Transfer {
  readonly from: TransferEnd;
  readonly to: TransferEnd;
  /** A deletion keeps what it takes away in the trash can, from where it is restored. */
  readonly mode: 'copy' | 'move' | 'trash' | 'restore';
  /** How the paths of the target read; those of the source for the trash can. */
  readonly format: Format | undefined;
  readonly properties: Properties;
  readonly at: number;
  readonly reviewDelayMs: number;
  /** The operation this is part of: its own veil is not in its way. */
  readonly operation?: number;
  /** Files go where the target's layout wants them, each by itself; folders that none needs are not made. */
  readonly translation?: Translation | undefined;
  /** Takes the files directly in the folder alone: what lies deeper is something else, such as an image below a tag. */
  readonly shallow?: boolean | undefined;
  /** Goes on after a cut: what is there with the same bytes has been copied. */
  readonly resumed?: boolean;
}

export interface Problem {
  readonly code: AppError['code'];
  readonly message: string;
}

/** What was done so far, and where it stands. */
export interface Progress {
  phase: 'folders' | 'files' | 'left' | 'done';
  cursor: RepoPath | undefined;
  files: number;
  folders: number;
  /** The first ones; how many there were says `refused`. */
  readonly problems: Problem[];
  refused: number;
}

/** Rows treated in one transaction: some milliseconds of work. */
export const PAGE = 100;
const MAX_PROBLEMS = 100;
const MAX_SIBLINGS = 1000;

export function startProgress(): Progress {
  return { phase: 'folders', cursor: undefined, files: 0, folders: 0, problems: [], refused: 0 };
}

/** Where a path below the source comes to lie. */
export function targetOf({ from, to }: Pick<Transfer, 'from' | 'to'>, path: RepoPath): RepoPath {
  const inside = from.path === '' ? path : path.slice(from.path.length + 1);
  return joinPath(to.path, inside);
}

/** Does the next page, in the caller's transaction; returns how many rows it looked at. */
export async function transferPage(
  deps: { readonly veils: Veils },
  tx: Tx,
  transfer: Transfer,
  progress: Progress,
): Promise<number> {
  const { from, to, operation } = transfer;
  for (const repoId of [...new Set([from.repoId, to.repoId])].sort((a, b) => a - b)) {
    await lockTree(tx, repoId, 'exclusive');
  }
  await deps.veils.requireFree(tx, from.repoId, [from.path], operation);
  await deps.veils.requireFree(tx, to.repoId, [to.path], operation);
  switch (progress.phase) {
    case 'folders':
      return transferFolders(tx, transfer, progress);
    case 'files':
      return transferFiles(tx, transfer, progress);
    case 'left':
      return removeLeft(tx, transfer, progress);
    case 'done':
      return 0;
  }
}

/** Looks through everything without changing anything: what a transfer would do and what it would refuse. */
export async function examineAll(database: Database, transfer: Transfer): Promise<Progress> {
  const progress = startProgress();
  const { from } = transfer;
  const top = await database.read((db) => getSubtreeNode(db, from.repoId, from.path));
  if (top && !top.folder) {
    const { files } = await database.read((db) => examine(db, transfer, [top], progress));
    progress.files += files.length;
    return progress;
  }
  if (from.path !== '' && !transfer.translation) progress.folders += 1;
  for (let after: RepoPath | undefined; ; ) {
    const page = { after, limit: 2 * PAGE, shallow: transfer.shallow };
    const rows = await database.read((db) => listSubtree(db, from.repoId, from.path, page));
    const inside = rows.filter(({ folder }) => !folder);
    const { files } = await database.read((db) => examine(db, transfer, inside, progress));
    progress.files += files.length;
    if (!transfer.translation)
      progress.folders += rows.filter(({ folder, path }) => folder && from.access.mayList(path)).length;
    after = rows.at(-1)?.path;
    if (rows.length < page.limit) return progress;
    await new Promise(setImmediate);
  }
}

async function transferFolders(tx: Tx, transfer: Transfer, progress: Progress): Promise<number> {
  const { from, to, mode, at } = transfer;
  const first = progress.cursor === undefined;
  if (first && mode === 'trash') await makeWay(tx, transfer, ancestors(to.path));
  const top = first ? await getSubtreeNode(tx, from.repoId, from.path) : undefined;
  if (top && !top.folder) {
    await moveTop(tx, transfer, top, progress);
    return 1;
  }
  if (transfer.translation) {
    Object.assign(progress, { phase: 'files', cursor: undefined });
    return 0;
  }
  if (first) await ensureFolders(tx, to.repoId, [joinPath(to.path, '-')].slice(top ? 1 : 0), by(transfer), at);
  const rows = await listSubtree(tx, from.repoId, from.path, pageOf(transfer, progress));
  const inside = rows.filter(({ folder }) => folder);
  const wanted = (top ? [top, ...inside] : inside).filter(({ path }) => takesFolder(transfer, path));
  const folders = wanted.map((row) => ({ row, to: targetOf(transfer, row.path) }));
  if (top) await ensureFolders(tx, to.repoId, [to.path], by(transfer), at);
  await requireFolders(tx, transfer, folders);
  await copyFolders(tx, { toRepoId: to.repoId, by: by(transfer), at }, folders);
  progress.folders += folders.length;
  // Where something older was, what comes now is no older than its own deletion.
  if (mode === 'trash' || mode === 'restore') await unmark(tx, transfer, folders);
  if (first && mode === 'trash') await markTop(tx, transfer, to.path);
  if (rows.length < PAGE) Object.assign(progress, { phase: 'files', cursor: undefined });
  else progress.cursor = rows.at(-1)?.path;
  return wanted.length;
}

function pageOf({ shallow }: Transfer, { cursor }: Progress) {
  return { after: cursor, limit: PAGE, shallow };
}

function takesFolder({ mode, from, to, format }: Transfer, path: RepoPath): boolean {
  if (format?.place && isLease(format, joinPath(path, '-'))) return false;
  if (mode === 'trash') return true;
  return from.access.mayList(path) && to.access.allows('deploy', targetOf({ from, to }, path));
}

/** A file where a folder is needed stops the whole transfer: nothing could lie below it. */
async function requireFolders(
  tx: Tx,
  transfer: Transfer,
  folders: readonly { readonly to: RepoPath }[],
): Promise<void> {
  const { to, mode } = transfer;
  const targets = folders.map((folder) => folder.to);
  if (mode === 'trash') return makeWay(tx, transfer, targets);
  for (const node of (await getNodes(tx, to.repoId, targets)).values()) {
    if (!node.folder) {
      throw new AppError(
        'conflict',
        `"${clip(joinPath(to.key, node.path), 300)}" is a file, so no folder can be there.`,
      );
    }
  }
}

/** What was deleted earlier and is a file gives way, in the trash can, to a folder that is deleted now. */
async function makeWay(tx: Tx, { to, at, reviewDelayMs }: Transfer, folders: readonly RepoPath[]): Promise<void> {
  const files = [...(await getNodes(tx, to.repoId, folders)).values()].filter(({ folder }) => !folder);
  await removeNodes(tx, files, at + reviewDelayMs);
}

/** The folders above a path. */
export function ancestors(path: RepoPath): RepoPath[] {
  const segments = path.split('/');
  return segments.slice(1).map((_, i) => segments.slice(0, i + 1).join('/') as RepoPath);
}

/** The source is a single file. */
async function moveTop(tx: Tx, transfer: Transfer, top: SubtreeNode, progress: Progress): Promise<void> {
  const [file] = await transferRows(tx, transfer, [top], progress);
  if (file && transfer.mode === 'trash') await markTop(tx, transfer, file.to);
  progress.phase = 'done';
}

async function transferFiles(tx: Tx, transfer: Transfer, progress: Progress): Promise<number> {
  const { from, mode, format } = transfer;
  const rows = await listSubtree(tx, from.repoId, from.path, pageOf(transfer, progress));
  const isLast = rows.length < PAGE;
  if (!isLast && format?.place) rows.push(...(await siblingsAfter(tx, transfer, rows.at(-1)?.path ?? from.path)));
  const files = rows.filter(({ folder }) => !folder);
  await transferRows(tx, transfer, files, progress);
  if (isLast) Object.assign(progress, { phase: mode === 'copy' ? 'done' : 'left', cursor: undefined });
  else progress.cursor = rows.at(-1)?.path;
  return files.length;
}

/** A release and what it consists of lie in one folder: they go in one transaction. */
async function siblingsAfter(tx: Tx, { from, shallow }: Transfer, path: RepoPath): Promise<SubtreeNode[]> {
  const { parent } = splitPath(path);
  const page = { after: path, limit: MAX_SIBLINGS, shallow };
  const rows = await listSubtree(tx, from.repoId, from.path, page);
  return rows.filter((row) => splitPath(row.path).parent === parent);
}

async function transferRows(
  tx: Tx,
  transfer: Transfer,
  rows: readonly SubtreeNode[],
  progress: Progress,
): Promise<readonly TransferredFile[]> {
  const { to, mode, at, reviewDelayMs } = transfer;
  const { files, existing, dropped } = await examine(tx, transfer, rows, progress);
  await ensureFolders(
    tx,
    to.repoId,
    files.map((file) => file.to),
    by(transfer),
    at,
  );
  const replaced = files.flatMap((file) => existing.get(file.to) ?? []).filter(({ folder }) => !folder);
  await removeNodes(tx, [...replaced, ...dropped], at + reviewDelayMs);
  const stamp = { toRepoId: to.repoId, by: by(transfer), at };
  if (mode === 'copy') await copyFiles(tx, stamp, files);
  else await moveFiles(tx, stamp, files);
  if (mode === 'trash' || mode === 'restore') {
    await dropProperties(
      tx,
      files.map(({ row }) => row.id),
      TRASH_PREFIX,
    );
  }
  progress.files += files.length;
  return files;
}

interface Examined {
  readonly files: readonly TransferredFile[];
  readonly existing: ReadonlyMap<string, NodeRow>;
  /** What is not worth keeping: deleted where the others are moved to the trash can. */
  readonly dropped: readonly SubtreeNode[];
}

/** Sorts out what goes, and notes why the rest does not. What the caller may not read is passed over in silence. */
async function examine(
  db: Db,
  transfer: Transfer,
  rows: readonly SubtreeNode[],
  progress: Progress,
): Promise<Examined> {
  const { from, to, mode } = transfer;
  const readable = mode === 'trash' ? rows : rows.filter(({ path }) => from.access.allows('read', path));
  const plain = readable.map(({ path }) => targetOf(transfer, path));
  const { translation } = transfer;
  const targets = translation ? plain.map((path) => translatedPath(translation, path)) : plain;
  const taken = new Set<RepoPath>();
  const existing = await getNodes(db, to.repoId, targets);
  const files: TransferredFile[] = [];
  const dropped: SubtreeNode[] = [];
  for (const [index, row] of readable.entries()) {
    const target = targets[index] ?? row.path;
    try {
      const there = existing.get(target);
      if (transfer.resumed && there?.sha256 !== undefined && there.sha256 === row.sha256 && mode === 'copy') continue;
      if (target !== plain[index] && (taken.has(target) || there)) throw translatedOver(to, target);
      taken.add(target);
      const file = examineFile(transfer, row, target, there);
      if (file) files.push(file);
      else if (mode === 'trash') dropped.push(row);
    } catch (error) {
      if (!isAppError(error)) throw error;
      progress.refused += 1;
      if (progress.problems.length < MAX_PROBLEMS) progress.problems.push({ code: error.code, message: error.message });
    }
  }
  return { files, existing, dropped };
}

/** Several files may read as one artifact: what came first stays, whoever may overwrite it. */
function translatedOver({ key }: TransferEnd, target: RepoPath): AppError {
  const name = clip(joinPath(key, target), 300);
  return new AppError('conflict', `"${name}", where the layout of "${key}" wants the file, is there already.`);
}

/** Throws why the file cannot go; undefined for what is not taken along. */
function examineFile(
  transfer: Transfer,
  row: SubtreeNode,
  target: RepoPath,
  there: NodeRow | undefined,
): TransferredFile | undefined {
  const { from, to, mode, format, properties } = transfer;
  if (mode === 'trash') {
    if (format?.place && isLease(format, row.path)) return undefined;
    // A folder of that name that was deleted earlier stays where it is.
    const to = there?.folder ? parseRepoPath(`${target}~${transfer.at}`) : target;
    // Two repositories can have releases of the same name; in the trash can they are told apart by where they were.
    const release = (name: string, version: string) => ({ name: `${from.key}/${name}`, version });
    return { row, to, package: row.package, release, properties: {} };
  }
  if (mode === 'move') from.access.require('delete', row.path);
  parseRepoPath(target);
  if (format?.place && isLease(format, row.path)) return undefined;
  const placement = format?.place?.(target);
  // What is put where things wait would be removed like them.
  if (format?.classify(target).kind === 'reserved' || (format?.place && !placement)) {
    throw new AppError('invalid', `"${clip(target, 300)}" lies under a name that the server keeps for itself.`);
  }
  if (there?.folder) {
    throw new AppError('conflict', `"${clip(joinPath(to.key, target), 300)}" is a folder, so no file can be there.`);
  }
  if (there && mode === 'restore') {
    throw new AppError(
      'conflict',
      `"${clip(joinPath(to.key, target), 300)}" is there already. Restore to another place.`,
    );
  }
  to.access.require(there ? 'delete' : 'deploy', target);
  return {
    row,
    to: target,
    package: placement ? placement.package : row.package,
    release(name, version) {
      const release = { package: placement?.package ?? originalName(transfer, name), version };
      return { name: release.package, version: placement?.version ?? format?.rowAt?.(target, release) ?? version };
    },
    properties: { ...placement?.properties, ...properties },
  };
}

/** What is not taken along, such as blobs that wait for a manifest; a place that cannot be one is no such thing. */
function isLease(format: Format, path: RepoPath): boolean {
  try {
    return format.place?.(path) === undefined;
  } catch (error) {
    if (isAppError(error)) return false;
    throw error;
  }
}

/** Takes off what the trash can put in front. */
function originalName({ mode, from }: Transfer, name: string): string {
  if (mode !== 'restore') return name;
  const key = from.path.split('/', 1)[0] ?? '';
  return name.startsWith(`${key}/`) ? name.slice(key.length + 1) : name;
}

async function removeLeft(tx: Tx, transfer: Transfer, progress: Progress): Promise<number> {
  const { from, mode, shallow, translation } = transfer;
  const isTaken = (path: RepoPath) => !translation && takesFolder(transfer, path);
  // What is said of a folder that has no counterpart would go with it.
  const accept = async (path: RepoPath, id: number) =>
    mode === 'trash' || (from.access.allows('delete', path) && (isTaken(path) || !(await hasProperties(tx, id))));
  const page = { before: progress.cursor, limit: PAGE, accept };
  const { next, removed } = shallow
    ? { next: undefined, removed: 0 }
    : await deleteEmptyFolders(tx, from.repoId, from.path, page);
  progress.cursor = next;
  if (next !== undefined) return removed;
  progress.phase = 'done';
  const top = await getSubtreeNode(tx, from.repoId, from.path);
  if (top && (await accept(from.path, top.id))) await deleteFolderIfEmpty(tx, from.repoId, top.id, from.path);
  return removed + 1;
}

/** Prefix of the properties that tell where something in the trash can was. */
const TRASH_PREFIX = 'trash.';

/** The item that somebody deleted says where it was; what lies in it is found by its path. */
async function markTop(tx: Tx, transfer: Transfer, path: RepoPath): Promise<void> {
  const { from, to, at } = transfer;
  const top = await getSubtreeNode(tx, to.repoId, path);
  if (!top) return;
  await changeProperties(tx, top.id, {
    set: {
      'trash.time': [String(at)],
      'trash.deletedBy': [by(transfer)],
      'trash.originalRepository': [from.key],
      'trash.originalRepositoryType': ['local'],
      'trash.originalPath': [from.path],
    },
  });
}

async function unmark(tx: Tx, { to }: Transfer, folders: readonly { readonly to: RepoPath }[]): Promise<void> {
  const made = await getNodes(
    tx,
    to.repoId,
    folders.map((folder) => folder.to),
  );
  await dropProperties(
    tx,
    [...made.values()].map(({ id }) => id),
    TRASH_PREFIX,
  );
}

/** Remembers the folder above the source, which may be empty now. */
export async function noteSourceLeft(tx: Tx, { from, mode }: Pick<Transfer, 'from' | 'mode'>): Promise<void> {
  if (mode === 'copy' || from.path === '') return;
  await noteLeft(tx, from.repoId, [from.path.slice(0, Math.max(from.path.lastIndexOf('/'), 0)) as RepoPath]);
}

function by({ from }: Transfer): string {
  return from.access.principalName;
}
