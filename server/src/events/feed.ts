/** Hands the event log on: to consumers that remember how far they are, and to caches that only forget. */
import type { Database, Tx } from '../db/database.ts';
import { claimCursor, createCursor, getCursor, listEvents, moveCursor, settledEventId } from '../db/events.ts';
import { type EventLog, type RecordedEvent, recordedEvent } from './event-log.ts';

/**
 * Gets every event at least once, in the order of the log, by one process at a time. `handle` runs in the transaction
 * that moves the cursor and may run again, so it awaits nothing but SQL; what reaches outside is a job it enqueues.
 * While it fails, its later events wait.
 */
export interface Consumer {
  readonly name: string;
  /** Where a consumer that is new to this database starts. */
  readonly from: 'beginning' | 'now';
  handle(tx: Tx, events: readonly RecordedEvent[]): Promise<void>;
}

/** Called in this process with what any process committed, soon after. Nothing is repeated if it throws. */
export type EventListener = (events: readonly RecordedEvent[]) => void;

export interface FeedDeps {
  readonly database: Database;
  readonly log: EventLog;
  /** Told what went wrong in a consumer, a listener or while reading; the feed goes on. */
  onError(error: unknown, context: { readonly consumer?: string }): void;
}

export interface FeedOptions {
  readonly pollMs?: number;
  readonly batch?: number;
}

interface Position {
  readonly consumer: Consumer;
  /** How far it was when last looked at; another process may have brought it further. */
  at: number;
  failures: number;
  /** Not before this moment of `performance.now()` after a failure. */
  notBefore: number;
}

const MAX_BACK_OFF_MS = 60_000;
/** Events that come in quick succession are handed on together. */
const GATHER_MS = 20;

export class Feed {
  readonly #deps: FeedDeps;
  readonly #pollMs: number;
  readonly #batch: number;
  readonly #listeners = new Set<EventListener>();
  readonly #positions: Position[] = [];
  /** How far the listeners are with what other processes wrote. */
  #heardUpTo = 0;
  /** Events after `#heardUpTo` that the listeners were told already, since this process wrote them. */
  readonly #heard = new Set<number>();
  #lookAgain = false;
  #state: 'new' | 'started' | 'stopped' = 'new';
  #timer: NodeJS.Timeout | undefined;
  #dueAt = 0;
  #round: Promise<void> | undefined;
  #again = false;

  constructor(deps: FeedDeps, options: FeedOptions = {}) {
    this.#deps = deps;
    this.#pollMs = options.pollMs ?? 1000;
    this.#batch = options.batch ?? 200;
    deps.log.onAppended((events) => this.#onAppended(events));
  }

  /** Adds a consumer, before the start. */
  consume(consumer: Consumer): void {
    if (this.#state !== 'new') throw new Error(`the consumer "${consumer.name}" was added after the start`);
    if (this.#positions.some((position) => position.consumer.name === consumer.name)) {
      throw new Error(`there are two consumers named "${consumer.name}"`);
    }
    this.#positions.push({ consumer, at: 0, failures: 0, notBefore: 0 });
  }

  /** Adds a listener and returns what removes it. */
  onEvents(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What was committed before this returns may not reach the listeners: fill caches afterwards. */
  async start(): Promise<void> {
    const { database } = this.#deps;
    this.#heardUpTo = await database.read(settledEventId);
    await database.transaction(async (tx) => {
      for (const { consumer } of this.#positions) {
        await createCursor(tx, consumer.name, consumer.from === 'beginning' ? 0 : this.#heardUpTo);
      }
    });
    this.#state = 'started';
    this.#wake(0);
  }

  /** Waits for what is under way; consumers go on where they were at the next start. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    clearTimeout(this.#timer);
    await this.#round;
  }

  #onAppended(events: readonly RecordedEvent[]): void {
    if (this.#state !== 'started') return;
    for (const { id } of events) this.#heard.add(id);
    this.#tell(events);
    if (this.#positions.length > 0) this.#wake(GATHER_MS);
  }

  #tell(events: readonly RecordedEvent[]): void {
    for (const listener of this.#listeners) {
      try {
        listener(events);
      } catch (error) {
        this.#deps.onError(error, {});
      }
    }
  }

  /** Has a round begin after the delay, or right after the one under way. */
  #wake(delayMs: number): void {
    if (this.#round !== undefined) {
      this.#again = true;
      return;
    }
    const due = performance.now() + delayMs;
    if (this.#timer !== undefined && this.#dueAt <= due) return;
    clearTimeout(this.#timer);
    this.#dueAt = due;
    this.#timer = setTimeout(() => this.#begin(), delayMs);
    this.#timer.unref();
  }

  #begin(): void {
    this.#timer = undefined;
    this.#round = this.#run().finally(() => {
      this.#round = undefined;
      if (this.#state === 'started') this.#wake(this.#again ? GATHER_MS : this.#pollMs);
    });
  }

  async #run(): Promise<void> {
    this.#again = false;
    try {
      const settled = await this.#deps.database.read(settledEventId);
      await this.#listen(settled);
      for (const position of this.#positions) await this.#advance(position, settled);
    } catch (error) {
      this.#deps.onError(error, {});
    }
  }

  /** Tells the listeners what other processes wrote. */
  async #listen(settled: number): Promise<void> {
    const changed = this.#deps.database.dialect.changedElsewhere();
    // A commit may have come after `settled` was read and before that question, so each change is looked at twice.
    if (!changed && !this.#lookAgain) this.#heardUpTo = settled;
    this.#lookAgain = changed;
    while (this.#heardUpTo < settled && this.#state === 'started') {
      const range = { after: this.#heardUpTo, upTo: settled, limit: this.#batch };
      const rows = await this.#deps.database.read((db) => listEvents(db, range));
      const news = rows.filter((row) => !this.#heard.delete(row.id)).map(recordedEvent);
      if (news.length > 0) this.#tell(news);
      this.#heardUpTo = rows.length < this.#batch ? settled : (rows.at(-1)?.id ?? settled);
    }
    for (const id of this.#heard) if (id <= this.#heardUpTo) this.#heard.delete(id);
  }

  async #advance(position: Position, settled: number): Promise<void> {
    while (position.at < settled && position.notBefore <= performance.now() && this.#state === 'started') {
      try {
        const reached = await this.#handOn(position.consumer, settled);
        position.failures = 0;
        if (reached === undefined) return;
        position.at = reached;
      } catch (error) {
        position.failures += 1;
        position.notBefore = performance.now() + Math.min(MAX_BACK_OFF_MS, this.#pollMs * 2 ** position.failures);
        this.#deps.onError(error, { consumer: position.consumer.name });
      }
    }
  }

  /** One batch; returns how far the consumer is, or undefined while another process has its cursor. */
  async #handOn(consumer: Consumer, settled: number): Promise<number | undefined> {
    // Idle rounds of a consumer that another process serves must not take SQLite's or anybody's write lock.
    const known = await this.#deps.database.read((db) => getCursor(db, consumer.name));
    if (known !== undefined && known >= settled) return known;
    return await this.#deps.database.transaction(
      async (tx) => {
        const after = await claimCursor(tx, consumer.name);
        if (after === undefined || after >= settled) return after;
        const rows = await listEvents(tx, { after, upTo: settled, limit: this.#batch });
        if (rows.length > 0) await consumer.handle(tx, rows.map(recordedEvent));
        const reached = rows.length < this.#batch ? settled : (rows.at(-1)?.id ?? settled);
        await moveCursor(tx, consumer.name, reached);
        return reached;
      },
      // A loss takes back the cursor and what the consumer wrote alike.
      { durable: false },
    );
  }
}
