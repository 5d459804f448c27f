/** Tables of requests that must be refused, or must do no harm, and what holds for each of them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from './eventually.ts';
import type { Caller, RequestOptions, Storage } from './test-app.ts';
import { countStored, type Stored, startWorld, type World, type WorldOptions } from './wire-world.ts';

/** An answer, whichever client read it. */
export interface Seen {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** How a protocol says what went wrong. */
export type Shape = 'oci' | 'rest' | 'text' | 'any';

export interface Attack {
  readonly method: string;
  readonly path: string;
  readonly options?: RequestOptions;
  /** Who sends it; the administrator if nobody is named. */
  readonly by?: Caller;
}

export interface Row {
  readonly id: string;
  readonly name: string;
  /** The requests of the row, made when what they need is there. */
  attacks(world: World): readonly Attack[] | Promise<readonly Attack[]>;
  readonly status: readonly number[];
  /** Codes of the distribution API, one of which the answer must have. */
  readonly codes?: readonly string[];
  readonly shape: Shape;
  /** The answer names many things, each of which was sent. */
  readonly long?: boolean;
  /** Milliseconds in which each answer must come. */
  readonly withinMs?: number;
  /** The refusal ends an upload that was there before. */
  readonly endsUploads?: boolean;
  /** What else must hold afterwards. */
  check?(world: World, answers: readonly Seen[]): void | Promise<void>;
}

export interface SkippedRow {
  readonly row: string;
  readonly reason: string;
}

/** Defines one test per row on a server that the rows share. */
export function describeRows(
  title: string,
  storage: Storage,
  rows: readonly Row[],
  options: WorldOptions & { readonly skipped?: readonly SkippedRow[] } = {},
): void {
  describe(`${title} on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage, options);
    });
    after(() => world.stop());
    for (const row of rows) test(`${row.id}: ${row.name}`, () => runRow(world, row));
    for (const { row, reason } of options.skipped ?? []) test(row, { skip: reason });
  });
}

async function runRow(world: World, row: Row): Promise<void> {
  const attacks = await row.attacks(world);
  assert.ok(attacks.length > 0, 'the row has requests');
  const answers: Seen[] = [];
  for (const { method, path, options, by = world.admin } of attacks) {
    const what = `${method} ${path.slice(0, 200)}`;
    const before = await countStored(world);
    const sentAt = performance.now();
    const answer = await by.request(method, path, options);
    const tookMs = performance.now() - sentAt;
    answers.push(answer);
    assert.ok(
      row.status.includes(answer.status),
      `${what} was answered ${answer.status}: ${answer.text.slice(0, 300)}`,
    );
    assert.ok(tookMs < (row.withinMs ?? 10_000), `${what} took ${Math.round(tookMs)} ms`);
    requireHarmless(answer, { ...row, method, what, dataDir: world.app.dataDir });
    if (answer.status >= 300 && !row.endsUploads) await requireNothingLeft(world, before, what);
  }
  await row.check?.(world, answers);
}

/** What no answer may be or hold, whatever was sent (bad inputs, rule 2). */
export function requireHarmless(
  answer: Seen,
  about: {
    readonly shape: Shape;
    readonly method: string;
    readonly what: string;
    readonly codes?: readonly string[] | undefined;
    readonly long?: boolean | undefined;
    readonly dataDir?: string;
  },
): void {
  const { status, headers, text } = answer;
  const { what } = about;
  assert.ok(status < 500 || status === 503 || status === 507, `${what} was answered ${status}`);
  assert.equal(headers['x-content-type-options'], 'nosniff', `${what}: nosniff`);
  if (status < 400) return;
  assert.doesNotMatch(
    text,
    /\n\s+at |node:internal|\.ts:\d|sqlite|postgres|kysely|\bselect\s.+\sfrom\b|\/tmp\/|errno/i,
    `${what} tells about the inside: ${text.slice(0, 300)}`,
  );
  if (about.dataDir) assert.ok(!text.includes(about.dataDir), `${what} names the data folder`);
  assert.doesNotMatch(text, /<script|<img|\u0000|\u001b/i, `${what} reflects markup or control characters`);
  if (!about.long) assert.ok(text.length <= 1500, `${what} is answered with ${text.length} characters`);
  // That none of the bytes asked for exist is said by a header alone, as clients of Artifactory know it.
  if (about.method === 'HEAD' || (status === 416 && text === '')) return;
  if (about.shape === 'text' && !String(headers['content-type']).startsWith('application/json')) {
    assert.match(String(headers['content-type']), /^text\/plain\b/, `${what}: Content-Type`);
    assert.match(text, /^\S+ .*\S\.$/s, `${what} is answered with no sentence: ${text.slice(0, 300)}`);
    return;
  }
  assert.match(String(headers['content-type']), /^application\/json\b/, `${what}: Content-Type`);
  const { errors } = JSON.parse(text) as { errors: { code?: string; status?: number; message?: unknown }[] };
  assert.ok(errors.length > 0, `${what} says nothing`);
  for (const error of errors) {
    assert.equal(typeof error.message, 'string');
    if (about.shape === 'oci') assert.match(error.code ?? '', /^[A-Z_]+$/, `${what}: ${text.slice(0, 300)}`);
    if (about.shape === 'rest') assert.equal(error.status, status, `${what}: ${text.slice(0, 300)}`);
  }
  const [first] = errors;
  if (about.codes) assert.ok(about.codes.includes(first?.code ?? ''), `${what}: ${text.slice(0, 300)}`);
}

/** Nothing stays behind unless the request succeeded (bad inputs, rule 3). Stages of others may go meanwhile. */
export async function requireNothingLeft(world: World, before: Stored, what: string): Promise<void> {
  await eventually(async () => {
    const { counts, stages } = await countStored(world);
    assert.deepEqual(counts, before.counts, `${what} left rows`);
    const left = stages.filter((stage) => !before.stages.includes(stage));
    assert.deepEqual(left, [], `${what} left stages`);
  }, 5000);
}
