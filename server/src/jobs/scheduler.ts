/** Enqueues jobs at intervals. When each is due is a row, so restarts and further nodes change nothing. */
import type { Database } from '../db/database.ts';
import { advanceSchedule, listDueSchedules, syncSchedules } from '../db/jobs.ts';
import type { JobLog, Schedule } from './job.ts';
import type { Queue } from './queue.ts';

export interface SchedulerDeps {
  readonly database: Database;
  readonly queue: Queue;
  readonly log: JobLog;
}

/** A schedule that is new to the database runs first after at most this long, so that nodes do not start all at once. */
const MAX_FIRST_DELAY_MS = 60_000;

export class Scheduler {
  readonly #deps: SchedulerDeps;
  readonly #schedules = new Map<string, Schedule>();
  readonly #pollMs: number;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  #stopped = false;
  #troubled = false;

  /** Refuses two schedules of one name, jobs the queue does not know and payloads their job does not take. */
  constructor(deps: SchedulerDeps, schedules: readonly Schedule[], options: { readonly pollMs: number }) {
    this.#deps = deps;
    this.#pollMs = options.pollMs;
    for (const schedule of schedules) {
      if (this.#schedules.has(schedule.name)) throw new Error(`there are two schedules named "${schedule.name}"`);
      deps.queue.requireDefinition(schedule.job);
      schedule.job.payload.parse(schedule.payload);
      this.#schedules.set(schedule.name, schedule);
    }
  }

  /** Makes the rows what the schedules say; rows of schedules that are no more are removed. */
  async start(): Promise<void> {
    const schedules = [...this.#schedules.values()].map(({ name, everyMs }) => ({
      name,
      everyMs,
      firstDelayMs: Math.round(Math.random() * Math.min(everyMs, MAX_FIRST_DELAY_MS)),
    }));
    await this.#deps.database.transaction((tx) => syncSchedules(tx, schedules));
    this.#begin();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#round;
  }

  #begin(): void {
    this.#round = this.#run().finally(() => {
      if (this.#stopped) return;
      this.#timer = setTimeout(() => this.#begin(), this.#pollMs);
      this.#timer.unref();
    });
  }

  async #run(): Promise<void> {
    try {
      for (const name of await this.#deps.database.read(listDueSchedules)) await this.#enqueue(name);
      this.#troubled = false;
    } catch (err) {
      if (!this.#troubled) this.#deps.log.warn({ err }, 'no scheduled jobs can be enqueued at the moment');
      this.#troubled = true;
    }
  }

  async #enqueue(name: string): Promise<void> {
    const schedule = this.#schedules.get(name);
    if (!schedule) return;
    const { job, payload } = schedule;
    // While a job of the schedule still waits, another would only pile up.
    const options = job.dedupe ? {} : { dedupeKey: `schedule ${name}` };
    await this.#deps.database.transaction(async (tx) => {
      if (await advanceSchedule(tx, name)) await this.#deps.queue.enqueue(tx, job, payload, options);
    });
  }
}
