import { readdirSync, readFileSync } from 'node:fs';

// USER_HZ is 100 on every Linux that Node runs on; /proc gives no way to ask.
const ticksPerSecond = 100;

export type Memory = { readonly rssMb: number; readonly peakMb: number };

type Stat = { readonly parent: number; readonly cpuSeconds: number };

/** User and system time of a process and its descendants, also those that ended. */
export function readCpuSeconds(rootPid: number): number {
  let total = 0;
  for (const pid of listTree(rootPid)) total += readStat(pid)?.cpuSeconds ?? 0;
  return total;
}

/** Resident memory of a process and its descendants; the peak is the sum of the processes' own peaks. */
export function readMemory(rootPid: number): Memory {
  let rssKb = 0;
  let peakKb = 0;
  for (const pid of listTree(rootPid)) {
    const status = readOptional(`/proc/${pid}/status`);
    rssKb += Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
    peakKb += Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0);
  }
  return { rssMb: rssKb / 1024, peakMb: peakKb / 1024 };
}

/** Time all processors of the machine spent on anything. */
export function readMachineCpuSeconds(): number {
  const fields = readOptional('/proc/stat').split('\n', 1)[0]?.split(/ +/).slice(1).map(Number) ?? [];
  // user, nice, system, idle, iowait, irq, softirq; guests are in user already.
  return [0, 1, 2, 5, 6].reduce((sum, index) => sum + (fields[index] ?? 0), 0) / ticksPerSecond;
}

function listTree(rootPid: number): readonly number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (Number.isNaN(pid)) continue;
    const parent = readStat(pid)?.parent;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const tree = [rootPid];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

function readStat(pid: number): Stat | undefined {
  const text = readOptional(`/proc/${pid}/stat`);
  // The second field is a name in parentheses that may contain spaces.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields.length < 15) return undefined;
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
  return { parent: Number(fields[1]), cpuSeconds: ticks / ticksPerSecond };
}

function readOptional(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // A process may end between the listing and the reading.
    return '';
  }
}
