/** A disk that is small enough to be filled, for those who may mount one. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface SmallDisk {
  readonly path: string;
  /** Takes all free space, down to the last byte. */
  fill(): Promise<void>;
  /** Takes all free files. */
  takeInodes(): Promise<void>;
  /** Gives back what was taken. */
  free(): Promise<void>;
  setReadOnly(isReadOnly: boolean): Promise<void>;
  remove(): Promise<void>;
}

/** Why no disk can be mounted here; undefined when one can. */
export async function cannotMount(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root may mount a small disk';
  try {
    const disk = await mountSmallDisk(1);
    await disk.remove();
    return undefined;
  } catch {
    return 'no small disk can be mounted here';
  }
}

export async function mountSmallDisk(mebibytes: number, inodes = 100_000): Promise<SmallDisk> {
  const path = await mkdtemp(join(tmpdir(), 'entrepot-disk-'));
  const options = `size=${mebibytes}m,nr_inodes=${inodes}`;
  await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]);
  const taken = join(path, 'taken');
  return {
    path,
    async fill() {
      await mkdir(taken, { recursive: true });
      const file = await open(join(taken, 'space'), 'a');
      try {
        for (const size of [1_048_576, 4096, 1]) await writeUntilFull(() => file.write(Buffer.alloc(size, 1)));
      } finally {
        await file.close();
      }
    },
    async takeInodes() {
      await mkdir(taken, { recursive: true });
      let made = 0;
      await writeUntilFull(async () => (await open(join(taken, `file-${++made}`), 'w')).close());
    },
    free: () => rm(taken, { recursive: true, force: true }),
    async setReadOnly(isReadOnly) {
      await run('mount', ['-o', `remount,${isReadOnly ? 'ro' : 'rw'}`, path]);
    },
    async remove() {
      await run('umount', ['-l', path]);
      await rm(path, { recursive: true, force: true });
    },
  };
}

async function writeUntilFull(write: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await write();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
      throw error;
    }
  }
}
