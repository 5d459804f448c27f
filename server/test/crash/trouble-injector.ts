/** Makes chosen calls of a running server fail, as a disk in trouble would. */
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { ended } from '../support/child-guard.ts';
import type { ServerProcess } from './server-process.ts';

export interface Fault {
  readonly calls: readonly string[];
  /** Only calls on exactly this file. */
  readonly path: string;
  readonly error: string;
  /** Which of the calls of each thread fail, as strace writes it; all by default. */
  readonly when?: string;
}

const ATTACH_LIMIT_MS = 20_000;

/** Runs `work` while these calls fail, and returns how many did. */
export async function withFault(server: ServerProcess, fault: Fault, work: () => Promise<void>): Promise<number> {
  const calls = fault.calls.join(',');
  const inject = `inject=${calls}:error=${fault.error}${fault.when ? `:when=${fault.when}` : ''}`;
  const args = ['-f', '-p', String(server.pid), '-P', fault.path, '-e', `trace=${calls}`, '-e', inject];
  const tracer = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  tracer.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  try {
    await attached(() => output);
    await work();
  } finally {
    tracer.kill('SIGINT');
    await ended(tracer);
  }
  return output.split('(INJECTED)').length - 1;
}

/** Resolves when every thread of the server is traced; threads that it starts later are, too. */
async function attached(output: () => string): Promise<void> {
  const limit = performance.now() + ATTACH_LIMIT_MS;
  while (!/Process \d+ attached/.test(output())) {
    if (performance.now() > limit) throw new Error(`the server could not be traced: ${output().slice(0, 500)}`);
    await delay(10);
  }
}
