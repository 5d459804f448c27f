import { spawnSync } from 'node:child_process';
import { statfsSync } from 'node:fs';

const syncLimitMs = 120_000;

export function readFreeGb(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return (bavail * bsize) / 1e9;
}

/** Writes out what one server left in the page cache, so that it does not burden the other's round. */
export function flushDisk(dir: string): void {
  spawnSync('sync', ['-f', dir], { timeout: syncLimitMs });
}

/** Whether a directory is in memory, where a comparison of what reaches the disk says nothing. */
export function isInMemory(dir: string): boolean {
  const tmpfs = 0x01021994;
  const ramfs = 0x858458f6;
  const { type } = statfsSync(dir);
  return type === tmpfs || type === ramfs;
}
