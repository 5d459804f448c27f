import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';

export type Facts = {
  readonly subject: string;
  readonly baseline: string;
  readonly command: string;
  readonly machine: Readonly<Record<string, string>>;
};

/** What a reader has to know of the machine to judge the figures. */
export function readFacts(names: { readonly subject: string; readonly baseline: string }, dir: string): Facts {
  return {
    ...names,
    command: readCommand(),
    machine: {
      date: new Date().toISOString(),
      cores: `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown'}`,
      memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
      kernel: release(),
      disk: run('df', ['--output=source,fstype,size,avail', '-h', dir]).split('\n').at(-1)?.trim() ?? 'unknown',
      node: process.version,
      commit: run('git', ['describe', '--always', '--dirty']) || 'unknown',
      load: readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3).join(' '),
    },
  };
}

function readCommand(): string {
  const settings = Object.entries(process.env).filter(([name]) => name.startsWith('BENCH_'));
  return [...settings.map(([name, value]) => `${name}=${value}`), 'node bench/run.ts'].join(' ');
}

function run(file: string, args: readonly string[]): string {
  const cwd = new URL('..', import.meta.url).pathname;
  return spawnSync(file, args, { encoding: 'utf8', timeout: 10_000, cwd }).stdout?.trim() ?? '';
}
