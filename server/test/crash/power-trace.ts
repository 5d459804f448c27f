/** What a program asked of the kernel, in order, as strace saw it. */
import { execFile } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The calls that change files, those that make changes last, and those that answer clients. */
const TRACED = [
  ...['openat', 'creat', 'write', 'pwrite64', 'pwritev', 'pwritev2', 'writev', 'fsync', 'fdatasync', 'rename'],
  ...['renameat', 'renameat2', 'unlink', 'unlinkat', 'rmdir', 'ftruncate', 'truncate', 'fallocate', 'mkdir'],
  ...['mkdirat', 'link', 'linkat', 'symlink', 'symlinkat', 'sendmsg', 'sendto', 'copy_file_range'],
];

/** One call. The moments are the numbers of the lines in which strace saw it begin and end. */
export interface Call {
  readonly name: string;
  readonly began: number;
  /** Infinity when it never returned. */
  readonly ended: number;
  /** The file behind the descriptor that is the first argument. */
  readonly file: string | undefined;
  /** All strings among the arguments: paths, or the bytes that were written. */
  readonly strings: readonly Buffer[];
  /** The arguments as strace writes them, without the strings. */
  readonly rest: string;
  /** What it returned; negative for a failure. */
  readonly result: number;
}

/** Why no program can be traced here; undefined when one can. Installs strace where that is possible. */
export async function whyNoStrace(): Promise<string | undefined> {
  const tries = () => run('strace', ['-f', '-o', '/dev/null', 'true']).then(() => undefined, String);
  let trouble = await tries();
  if (trouble !== undefined && process.getuid?.() === 0) {
    await access('/usr/bin/apt-get')
      .then(() => run('apt-get', ['install', '-y', '-q', 'strace'], { timeout: 120_000 }))
      .catch(() => undefined);
    trouble = await tries();
  }
  return trouble === undefined ? undefined : `strace cannot be used here: ${trouble.slice(0, 200)}`;
}

/** To be put in front of a program. The traced program keeps its place as our child. */
export function straceTo(file: string): string[] {
  // All of each string in hex: they are the bytes of files. Descriptors come with their paths.
  return ['strace', '-D', '-f', '-y', '-xx', '-s', '16777216', '-e', `trace=${TRACED.join(',')}`, '-o', file];
}

export interface Trace {
  readonly calls: Call[];
  /** The moment after the last. */
  readonly until: number;
  /** Whether the program has ended. */
  readonly ended: boolean;
}

/** The calls of a program. `since` is added to their moments, for one that ran after another. */
export async function readTrace(file: string, since: number): Promise<Trace> {
  const lines = (await readFile(file, 'latin1')).split('\n');
  const calls: Call[] = [];
  const open = new Map<string, { began: number; text: string }>();
  for (const [index, line] of lines.entries()) {
    const moment = since + index;
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text);
    const start = resumed ? open.get(thread) : undefined;
    if (resumed) open.delete(thread);
    if (text.endsWith('<unfinished ...>')) open.set(thread, { began: moment, text: text.slice(0, -16) });
    else if (resumed && start) add(calls, start.text + resumed[1], start.began, moment);
    else if (/^\w+\(/.test(text)) add(calls, text, moment, moment);
  }
  for (const { began, text } of open.values()) add(calls, `${text}) = 0`, began, Number.POSITIVE_INFINITY);
  calls.sort((a, b) => a.began - b.began);
  return { calls, until: since + lines.length, ended: /\+\+\+\s*$/.test(lines.slice(-2).join('')) };
}

function add(calls: Call[], text: string, began: number, ended: number): void {
  const parsed = /^(\w+)\((.*)\) += (-?\d+|\?)[^)]*(?:\(.*\))?$/s.exec(text);
  if (!parsed) return;
  const [, name = '', args = '', result = ''] = parsed;
  const file = /^\d+<((?:\\x[0-9a-f]{2})+)>/.exec(args)?.[1];
  calls.push({
    name,
    began,
    ended,
    file: file === undefined ? undefined : bytesOf(file).toString(),
    strings: Array.from(args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g), ([, hex = '']) => bytesOf(hex)),
    rest: args.replaceAll(/"[^"]*"|<[^>]*>/g, ''),
    result: result === '?' ? -1 : Number(result),
  });
}

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replaceAll('\\x', ''), 'hex');
}
