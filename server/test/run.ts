/**
 * Runs the tests in stages, cheapest first: `node server/test/run.ts`. Those that wait for processes most of the time
 * run side by side. With the argument `faults` it runs only the crash tests, with many more kills. The last line
 * counts; the exit code is 1 when a test failed or none ran.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FileReport } from './support/file-report.ts';
import type { Outcome } from './support/stage-process.ts';

interface Stage {
  readonly name: string;
  readonly files: readonly string[];
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CRASH: Stage = { name: 'crash', files: ['server/test/crash/**/*.test.ts'] };
/** One after the other; those of one line at the same time. */
const STAGES: readonly (readonly Stage[])[] = [
  [{ name: 'unit', files: ['server/src/**/*.test.ts', 'server/test/*.test.ts', 'server/test/support/**/*.test.ts'] }],
  [{ name: 'contracts', files: ['server/test/contracts/**/*.test.ts'] }],
  [{ name: 'wire', files: ['server/test/wire/**/*.test.ts'] }, CRASH],
];
const MINUTE_MS = 60_000;
const FAULT_KILLS = '1000';

const counts = { passed: 0, failed: 0, skipped: 0 };
const faults = process.argv[2] === 'faults';
const deadline = performance.now() + (faults ? 120 : 45) * MINUTE_MS;

/** What ends the processes of each stage that runs. */
const groups = new Set<() => void>();
const endAll = (signal: NodeJS.Signals) => {
  for (const endGroup of groups) endGroup();
  process.exit(signal === 'SIGINT' ? 130 : 143);
};
process.on('SIGINT', endAll).on('SIGTERM', endAll);

if (process.argv.length > (faults ? 3 : 2)) {
  console.error('Usage: node server/test/run.ts [faults]');
  process.exit(2);
}
for (const stages of faults ? [[CRASH]] : STAGES) await Promise.all(stages.map(runStage));
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
console.log(`\n${counts.passed} passed, ${counts.failed} failed${skipped}`);
process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0);

async function runStage({ name, files: patterns }: Stage): Promise<void> {
  const files = globSync([...patterns], { cwd: ROOT }).sort();
  if (files.length === 0) return;
  console.log(`\n${name}`);
  const report = new FileReport(ROOT);
  const child = spawn(process.execPath, [fileURLToPath(import.meta.resolve('./support/stage-process.ts')), ...files], {
    cwd: ROOT,
    env: testEnvironment(),
    // A process group of its own, so that what tests start can be ended with it.
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const endGroup = () => child.pid !== undefined && killGroup(child.pid);
  groups.add(endGroup);
  let overrun = false;
  const timer = setTimeout(() => {
    overrun = true;
    endGroup();
  }, deadline - performance.now());
  child.on('message', (message) => {
    const outcome = message as Outcome;
    counts[outcome.result] += 1;
    report.add(outcome);
  });
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  child.on('error', (error) => resolve(`could not be started: ${error.message}`));
  child.on('close', (code, signal) => resolve(code === 0 ? undefined : `ended with ${signal ?? `exit code ${code}`}`));
  const trouble = await promise;
  report.end();
  clearTimeout(timer);
  groups.delete(endGroup);
  endGroup();
  if (trouble === undefined) return;
  counts.failed += 1;
  console.log(`  ✖ the stage "${name}" ${overrun ? 'took too long and was ended' : trouble}`);
}

/** Settings of whoever runs the tests must not reach the servers under test. */
function testEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('ENTREPOT_') || name.startsWith('ENTREPOT_TEST_'),
  );
  return { ...Object.fromEntries(kept), ...(faults ? { ENTREPOT_FAULT_KILLS: FAULT_KILLS } : {}) };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
