/** Runs the test files it is given, in this one process, and tells its parent the outcome of each test. */
import { run } from 'node:test';
import { inspect } from 'node:util';

export interface Outcome {
  readonly file: string;
  readonly name: string;
  readonly result: 'passed' | 'failed' | 'skipped';
  /** The error of a failure, or the reason of a skip. */
  readonly detail: string;
  readonly durationMs: number;
}

interface TestEvent {
  readonly name: string;
  readonly file?: string | undefined;
  readonly skip?: string | boolean | undefined;
  readonly todo?: string | boolean | undefined;
  readonly details: { readonly type?: string | undefined; readonly duration_ms: number; readonly error?: unknown };
}

const TEST_LIMIT_MS = 10 * 60_000;
const QUIET_MS = 5000;

/** Ends the process when all tests are over but something they left open keeps the runner waiting. */
class EndWatch {
  #pending = 0;
  #timer: NodeJS.Timeout | undefined;

  notice(type: string): void {
    if (type === 'test:enqueue') this.#pending += 1;
    if (type === 'test:complete') this.#pending -= 1;
    clearTimeout(this.#timer);
    if (this.#pending > 0) return;
    this.#timer = setTimeout(() => {
      console.log(`  ! the tests left something open: ${process.getActiveResourcesInfo().join(', ')}`);
      process.exit(0);
    }, QUIET_MS);
    this.#timer.unref();
  }
}

if (import.meta.main) {
  // A parent that is gone has nobody to tell.
  process.on('disconnect', () => process.exit(1));
  // The runner ends when nothing is left to wait for, and this channel never ends by itself.
  process.channel?.unref();
  await runFiles(process.argv.slice(2));
  process.exit(0);
}

async function runFiles(files: readonly string[]): Promise<void> {
  const tests = run({ files: [...files], isolation: 'none', timeout: TEST_LIMIT_MS });
  const end = new EndWatch();
  for await (const { type, data } of tests) {
    end.notice(type);
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const outcome = outcomeOf(data as TestEvent, type === 'test:pass');
    if (outcome) await tell(outcome);
  }
}

function outcomeOf(event: TestEvent, passed: boolean): Outcome | undefined {
  const { error, type, duration_ms: durationMs } = event.details;
  // A suite, or a test with tests inside, fails with them; it is news only when it fails by itself.
  const failureType = (error as { failureType?: string } | undefined)?.failureType;
  if (failureType === 'subtestsFailed' || (type === 'suite' && passed)) return undefined;
  const place = { file: event.file ?? '', name: event.name, durationMs };
  const skip = isSet(event.skip) ? event.skip : event.todo;
  if (isSet(skip)) return { ...place, result: 'skipped', detail: String(skip) };
  return { ...place, result: passed ? 'passed' : 'failed', detail: passed ? '' : renderError(error) };
}

function isSet(flag: string | boolean | undefined): boolean {
  return flag !== undefined && flag !== false;
}

function renderError(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return inspect(cause, { depth: 4, maxStringLength: 4000 });
}

async function tell(outcome: Outcome): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  process.send?.(outcome, undefined, undefined, () => resolve());
  await promise;
}
