import { basename } from 'node:path';
import { run } from 'node:test';
import { readInstalled } from './client-folder.ts';

export interface Outcome {
  readonly client: string;
  readonly version: string;
  readonly what: string;
  readonly result: 'passed' | 'failed' | 'skipped';
  readonly durationMs: number;
  /** The error of a failure, or the reason of a skip. */
  readonly detail: string;
}

export interface FileResults {
  readonly outcomes: readonly Outcome[];
  /** What tests said about themselves, such as throughputs and skipped parts of a conformance run. */
  readonly notes: readonly string[];
}

/** No test needs as long; a client that hangs must not hold up all others. */
const testTimeoutMs = 20 * 60_000;

/** Runs test files one after the other and answers one outcome per test, in order, telling each as it ends. */
export async function runTestFiles(files: readonly string[], tell: (outcome: Outcome) => void): Promise<FileResults> {
  const outcomes: Outcome[] = [];
  const notes: string[] = [];
  let suite = '';
  const add = (outcome: Outcome) => {
    outcomes.push(outcome);
    tell(outcome);
  };
  // The machine's cores belong to the server and the client under test; two clients at once would only blur times.
  const events = run({ files: [...files], concurrency: 1, timeout: testTimeoutMs });
  events.on('test:start', ({ name, nesting }) => {
    if (nesting === 0) suite = name;
  });
  events.on('test:pass', (event) => {
    if (event.details.type === 'suite') return;
    const skip = event.skip === undefined || event.skip === false ? undefined : String(event.skip);
    add({ ...place(event, suite), result: skip === undefined ? 'passed' : 'skipped', detail: skip ?? '' });
  });
  events.on('test:fail', (event) => {
    if (event.details.type === 'suite' && !isOwnFailure(event.details.error)) return;
    add({ ...place(event, suite), result: 'failed', detail: renderError(event.details.error) });
  });
  events.on('test:diagnostic', ({ message, nesting }) => {
    // At the outer level the runner counts its own tests, which the table already does.
    if (nesting > 0) notes.push(`${suite}: ${message}`);
  });
  events.on('test:stderr', ({ message }) => notes.push(message.trimEnd()));
  events.resume();
  const { promise, resolve } = Promise.withResolvers<void>();
  events.once('end', resolve);
  await promise;
  return { outcomes, notes };
}

/** Renders outcomes as a table with aligned columns. */
export function renderTable(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map((outcome) => [
    outcome.client,
    outcome.version,
    outcome.what,
    outcome.result === 'skipped' ? `skipped: ${outcome.detail}` : outcome.result,
    `${(outcome.durationMs / 1000).toFixed(1)} s`,
  ]);
  const head = ['client', 'version', 'what was tried', 'result', 'time'];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const render = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return [head, widths.map((width) => '-'.repeat(width)), ...rows].map((row) => render(row).trimEnd()).join('\n');
}

interface TestEvent {
  readonly name: string;
  readonly nesting: number;
  readonly file?: string | undefined;
  readonly details: { readonly duration_ms: number };
}

function place(event: TestEvent, suite: string): Pick<Outcome, 'client' | 'version' | 'what' | 'durationMs'> {
  // A file that cannot be loaded, and an absent client, are tests without a suite.
  const client = event.nesting === 0 ? basename(event.name).replace('.test.ts', '') : suite;
  const installed = new Map(Object.entries(readInstalled())).get(client);
  return {
    client,
    version: installed?.state === 'installed' ? installed.version : '-',
    what: event.nesting === 0 ? 'everything' : event.name,
    durationMs: event.details.duration_ms,
  };
}

/** A suite whose tests failed fails as well; only a suite that fails by itself, in a hook, is news. */
function isOwnFailure(error: unknown): boolean {
  return (error as { failureType?: string } | undefined)?.failureType === 'hookFailed';
}

function renderError(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  return cause.stack?.includes(cause.message) ? cause.stack : `${cause.message}\n${cause.stack ?? ''}`;
}
