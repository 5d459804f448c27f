/**
 * One process at a time owns a data folder: a server, or a command that must not run beside one. The lock is a file
 * that names its holder; the lock of a process that is gone is taken over. Processes that cannot be looked up, such as
 * those of another container over the same folder, are told alive by the file being touched every few seconds.
 */
import { link, mkdir, open, readFile, readlink, rename, rm, stat, utimes } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/load.ts';
import { AppError } from '../core/errors.ts';

export interface DataLock {
  release(): Promise<void>;
}

interface Holder {
  readonly pid: number;
  /** When the process started, in the kernel's count: process numbers are used again. */
  readonly started: string;
  /** Of the machine's boot and of the process numbers, which containers have of their own. */
  readonly world: string;
  /** What it does, such as `server`. */
  readonly purpose: string;
}

const FILE = 'server.lock';
const TOUCH_MS = 5000;
/** Longer than a busy process is late with touching. */
const SILENT_MS = 20_000;
const MAX_ATTEMPTS = 20;

/**
 * The lock of the data folder, where the database is a file in it. With PostgreSQL several servers may share
 * everything, and every command is safe beside them.
 */
export async function lockData(config: Config, purpose: string): Promise<DataLock | undefined> {
  if (config.database.url) return undefined;
  const dataDir = resolve(config.data.dir);
  await mkdir(dataDir, { recursive: true });
  return lockDataFolder(dataDir, purpose);
}

/** Takes the lock, or says as `conflict` who has it. Waits a while only where the holder cannot be looked up. */
export async function lockDataFolder(
  dataDir: string,
  purpose: string,
  { silentMs = SILENT_MS }: { readonly silentMs?: number } = {},
): Promise<DataLock> {
  const file = join(dataDir, FILE);
  const me = JSON.stringify({ ...(await thisProcess()), purpose });
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    if (await create(file, me)) return heldLock(file, me);
    const text = await readIfThere(file);
    if (text === undefined) continue;
    const holder = parseHolder(text);
    if (holder && (await isAlive(holder, file, silentMs))) {
      throw new AppError(
        'conflict',
        `The data folder "${dataDir}" is in use by another process (${holder.purpose}, process ${holder.pid}). Stop that first.`,
      );
    }
    await removeStale(file, text);
  }
  throw new AppError('conflict', `The data folder "${dataDir}" is wanted by several processes at once. Try again.`);
}

/** Makes the file whole or not at all; false when there is one. */
async function create(file: string, text: string): Promise<boolean> {
  const draft = `${file}.${process.pid}`;
  const handle = await open(draft, 'w', 0o640);
  try {
    await handle.writeFile(text);
    await handle.sync();
    await link(draft, file);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await handle.close();
    await rm(draft, { force: true });
  }
}

function heldLock(file: string, me: string): DataLock {
  const timer = setInterval(() => {
    const now = new Date();
    void utimes(file, now, now).catch(() => undefined);
  }, TOUCH_MS);
  timer.unref();
  return {
    async release() {
      clearInterval(timer);
      if ((await readIfThere(file)) === me) await rm(file, { force: true });
    },
  };
}

/** Another process may have replaced the stale lock by its own meanwhile; that one is put back. */
async function removeStale(file: string, stale: string): Promise<void> {
  const aside = `${file}.stale.${process.pid}`;
  try {
    await rename(file, aside);
    if ((await readIfThere(aside)) !== stale) await link(aside, file);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'EEXIST') throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

async function isAlive(holder: Holder, file: string, silentMs: number): Promise<boolean> {
  const me = await thisProcess();
  if (holder.world === me.world) return (await startOf(holder.pid)) === holder.started;
  const touched = await touchedAt(file);
  if (touched === undefined) return false;
  while (Date.now() - touched < silentMs) {
    await delay(Math.min(500, silentMs));
    if ((await touchedAt(file)) !== touched) return true;
  }
  return false;
}

async function touchedAt(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).mtimeMs;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function thisProcess(): Promise<Pick<Holder, 'pid' | 'started' | 'world'>> {
  const boot = (await readIfThere('/proc/sys/kernel/random/boot_id'))?.trim() ?? '';
  const namespace = await readlink('/proc/self/ns/pid').catch(() => '');
  return { pid: process.pid, started: (await startOf(process.pid)) ?? '', world: `${boot} ${namespace}` };
}

/** When the process of this number started; undefined when there is none. */
async function startOf(pid: number): Promise<string | undefined> {
  const status = await readIfThere(`/proc/${pid}/stat`);
  // The name before it, in parentheses, may hold spaces; the start is the 20th field after that.
  if (status !== undefined) return status.slice(status.lastIndexOf(')') + 2).split(' ')[19];
  if ((await readIfThere('/proc/self/stat')) !== undefined) return undefined;
  try {
    process.kill(pid, 0);
    return '';
  } catch (error) {
    return codeOf(error) === 'EPERM' ? '' : undefined;
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, started, world, purpose } = JSON.parse(text) as Partial<Holder>;
    if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
    return { pid, started: String(started), world: String(world), purpose: String(purpose) };
  } catch {
    return undefined;
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(codeOf(error))) return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
