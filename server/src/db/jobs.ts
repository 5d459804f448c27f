/** Rows of the job queue and of the schedules that feed it. Leases are by the database's clock. */
import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely';
import { type Db, isPostgres, lockScope, nowMs, type Tx } from './database.ts';
import type { JobTable, Schema } from './schema.ts';

export interface NewJob {
  readonly name: string;
  readonly payload: string;
  readonly dedupeKey: string | undefined;
  readonly priority: number;
  /** Epoch milliseconds; undefined for at once. */
  readonly runAt: number | undefined;
}

export interface JobRow {
  readonly id: number;
  readonly name: string;
  readonly payload: string;
  readonly attempts: number;
  readonly fence: number;
  readonly lastError: string | undefined;
}

/** Which claim of which job: an effect of another claim is refused. */
export interface Claim {
  readonly id: number;
  readonly fence: number;
}

/** Adds the job, or lets the waiting one of the same name and key stand for it. */
export async function insertJob(tx: Tx, job: NewJob): Promise<void> {
  const now = nowMs(tx);
  await tx
    .insertInto('job')
    .values({
      name: job.name,
      payload: job.payload,
      dedupe_key: job.dedupeKey ?? null,
      state: 'waiting',
      priority: job.priority,
      run_at: job.runAt ?? now,
      lease_until: null,
      fence: 0,
      attempts: 0,
      last_error: null,
      created_at: now,
    })
    // Updating, not ignoring, locks the waiting row until this transaction has ended: a worker that took it before
    // would run without seeing what this transaction writes, and nothing would run after it.
    .onConflict((conflict) =>
      conflict
        .columns(['name', 'dedupe_key'])
        .where(sql<SqlBool>`dedupe_key is not null and state = 'waiting'`)
        .doUpdateSet((eb) => ({
          run_at: smaller(eb.ref('excluded.run_at'), sql.ref('job.run_at')),
          priority: larger(eb.ref('excluded.priority'), sql.ref('job.priority')),
        })),
    )
    .execute();
}

function smaller(one: Expression<unknown>, other: Expression<unknown>) {
  return sql<number>`case when ${one} < ${other} then ${one} else ${other} end`;
}

function larger(one: Expression<unknown>, other: Expression<unknown>) {
  return sql<number>`case when ${one} > ${other} then ${one} else ${other} end`;
}

/**
 * Takes the most urgent job that is due, of those whose names are given with their leases: one that waits, or one
 * whose worker let the lease run out. Each claim counts as an attempt and has a fence of its own.
 */
export async function claimJob(tx: Tx, leases: ReadonlyMap<string, number>): Promise<JobRow | undefined> {
  if (leases.size === 0) return undefined;
  const now = nowMs(tx);
  const lease = sql.join(
    [...leases].map(([name, leaseMs]) => sql`when ${name} then cast(${leaseMs} as bigint)`),
    sql` `,
  );
  const row = await tx
    .updateTable('job')
    .set((eb) => ({
      state: 'running',
      lease_until: sql<number>`${now} + case name ${lease} end`,
      fence: eb('fence', '+', 1),
      attempts: eb('attempts', '+', 1),
    }))
    .where('id', '=', (eb) => {
      const due = eb
        .selectFrom('job')
        .select('id')
        .where('name', 'in', [...leases.keys()])
        .where((where) => isDue(where, now))
        .orderBy('priority', 'desc')
        .orderBy('id')
        .limit(1);
      // Without skipping, workers that come at the same time would wait for each other's choice.
      return isPostgres(tx) ? due.forUpdate().skipLocked() : due;
    })
    .returning(['id', 'name', 'payload', 'attempts', 'fence', 'last_error'])
    .executeTakeFirst();
  return row && { ...row, lastError: row.last_error ?? undefined };
}

function isDue(where: ExpressionBuilder<Schema, 'job'>, now: ReturnType<typeof nowMs>) {
  return where.or([
    where.and([where('state', '=', 'waiting'), where('run_at', '<=', now)]),
    where.and([where('state', '=', 'running'), where('lease_until', '<', now)]),
  ]);
}

/** Lengthens the lease from now on; false if the job was claimed again or is gone. */
export async function extendLease(tx: Tx, claim: Claim, leaseMs: number): Promise<boolean> {
  const row = await tx
    .updateTable('job')
    .set({ lease_until: sql<number>`${nowMs(tx)} + ${leaseMs}` })
    .where(isHeld(claim))
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

/** Whether the claim is still the last one; it stays so until the transaction ends. */
export async function holdsJob(tx: Tx, claim: Claim): Promise<boolean> {
  let query = tx.selectFrom('job').select('id').where(isHeld(claim));
  if (isPostgres(tx)) query = query.forUpdate();
  return (await query.executeTakeFirst()) !== undefined;
}

/** Removes the job, done; false if the claim is not the last one. */
export async function finishJob(tx: Tx, claim: Claim): Promise<boolean> {
  const row = await tx.deleteFrom('job').where(isHeld(claim)).returning('id').executeTakeFirst();
  return row !== undefined;
}

/** Leaves the job where an operator sees it, not to be run again; false if the claim is not the last one. */
export async function buryJob(tx: Tx, claim: Claim, lastError: string): Promise<boolean> {
  const row = await tx
    .updateTable('job')
    .set({ state: 'dead', lease_until: null, last_error: lastError })
    .where(isHeld(claim))
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

export interface Release {
  readonly delayMs: number;
  /** What made the attempt fail; undefined when it was only interrupted, which then does not count. */
  readonly lastError: string | undefined;
}

/**
 * Has the job wait to be run again; false if the claim is not the last one. When a job of the same name and key waits
 * already, that one takes over attempts and delay. Fails with a unique violation if such a job comes at this moment.
 */
export async function releaseJob(tx: Tx, claim: Claim, release: Release): Promise<boolean> {
  const job = await tx.selectFrom('job').selectAll().where(isHeld(claim)).executeTakeFirst();
  if (!job) return false;
  const runAt = sql<number>`${nowMs(tx)} + ${Math.round(release.delayMs)}`;
  const attempts = release.lastError === undefined ? job.attempts - 1 : job.attempts;
  const lastError = release.lastError ?? job.last_error;
  const waiting = job.dedupe_key === null ? undefined : await findWaiting(tx, job.name, job.dedupe_key);
  if (waiting === undefined) {
    const released = { state: 'waiting', run_at: runAt, lease_until: null, attempts, last_error: lastError } as const;
    const row = await tx.updateTable('job').set(released).where(isHeld(claim)).returning('id').executeTakeFirst();
    return row !== undefined;
  }
  if (!(await finishJob(tx, claim))) return false;
  await tx
    .updateTable('job')
    .set({ run_at: larger(runAt, sql.ref('run_at')), attempts, last_error: lastError })
    .where('id', '=', waiting)
    .where('state', '=', 'waiting')
    .execute();
  return true;
}

async function findWaiting(tx: Tx, name: string, dedupeKey: string): Promise<number | undefined> {
  let query = tx
    .selectFrom('job')
    .select('id')
    .where('name', '=', name)
    .where('dedupe_key', '=', dedupeKey)
    .where('state', '=', 'waiting');
  if (isPostgres(tx)) query = query.forUpdate();
  return (await query.executeTakeFirst())?.id;
}

function isHeld(claim: Claim) {
  return sql<SqlBool>`id = ${claim.id} and fence = ${claim.fence} and state = 'running'`;
}

/** How many jobs there are of each name in each state. */
export async function countJobs(
  db: Db,
): Promise<{ readonly name: string; readonly state: JobTable['state']; readonly count: number }[]> {
  return await db
    .selectFrom('job')
    .select(['name', 'state', (eb) => eb.fn.countAll<number>().as('count')])
    .groupBy(['name', 'state'])
    .orderBy('name')
    .orderBy('state')
    .execute();
}

export interface ScheduleRow {
  readonly name: string;
  readonly everyMs: number;
}

/**
 * Makes the table hold these schedules and no others. A new one is due after `firstDelayMs`, a known one when it was,
 * but not later than its new period says.
 */
export async function syncSchedules(
  tx: Tx,
  schedules: readonly (ScheduleRow & { readonly firstDelayMs: number })[],
): Promise<void> {
  await lockScope(tx, 'schedule');
  let stale = tx.deleteFrom('schedule');
  if (schedules.length > 0) {
    stale = stale.where(
      'name',
      'not in',
      schedules.map((schedule) => schedule.name),
    );
  }
  await stale.execute();
  const now = nowMs(tx);
  for (const { name, everyMs, firstDelayMs } of schedules) {
    await tx
      .insertInto('schedule')
      .values({ name, every_ms: everyMs, next_at: sql<number>`${now} + ${firstDelayMs}` })
      .onConflict((conflict) =>
        conflict.column('name').doUpdateSet({
          every_ms: everyMs,
          next_at: smaller(sql.ref('schedule.next_at'), sql`${now} + ${everyMs}`),
        }),
      )
      .execute();
  }
}

/** Names of the schedules that are due, the longest overdue first. */
export async function listDueSchedules(db: Db): Promise<string[]> {
  const rows = await db
    .selectFrom('schedule')
    .select('name')
    .where('next_at', '<=', nowMs(db))
    .orderBy('next_at')
    .limit(100)
    .execute();
  return rows.map((row) => row.name);
}

/** Sets the schedule's next time; false if it is not due any more, because another process was faster. */
export async function advanceSchedule(tx: Tx, name: string): Promise<boolean> {
  const row = await tx
    .updateTable('schedule')
    .set((eb) => ({ next_at: sql<number>`${nowMs(tx)} + ${eb.ref('every_ms')}` }))
    .where('name', '=', name)
    .where('next_at', '<=', nowMs(tx))
    .returning('name')
    .executeTakeFirst();
  return row !== undefined;
}

export interface JobSummary {
  readonly id: number;
  readonly name: string;
  readonly payload: string;
  readonly state: JobTable['state'];
  readonly createdAt: number;
}

/** Jobs that run, wait or were given up, oldest first, up to a thousand of them. */
export async function listJobs(db: Db): Promise<readonly JobSummary[]> {
  const rows = await db
    .selectFrom('job')
    .select(['id', 'name', 'payload', 'state', 'created_at'])
    .orderBy('id')
    .limit(1000)
    .execute();
  return rows.map(({ created_at, ...row }) => ({ ...row, createdAt: created_at }));
}
