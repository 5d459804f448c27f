/**
 * The read-only switch, for the whole server and for single repositories: nothing is written, and whoever tries is told
 * why. Asked at each write inside its transaction, so that it holds for requests that were under way as well.
 */
import { AppError } from '../core/errors.ts';
import { type Database, lockScope, type Tx } from '../db/database.ts';
import { getSetting, updateSetting } from '../db/settings.ts';
import type { EventLog } from '../events/event-log.ts';

export interface Standstill {
  /** For people: the refused client sees it. */
  readonly reason: string;
  readonly since: string;
  readonly by: string;
}

export interface ReadOnlyState {
  readonly server?: Standstill;
  readonly repositories: Readonly<Record<string, Standstill>>;
}

export interface ReadOnlyDeps {
  readonly database: Database;
  readonly events: EventLog;
}

/** The setting, and the subject of the event that tells of a change. */
export const READ_ONLY = 'read-only';
const NOTHING: ReadOnlyState = { repositories: {} };
const MAX_REASON = 500;

export class ReadOnly {
  readonly #deps: ReadOnlyDeps;
  #state = NOTHING;
  #started = 0;
  #applied = 0;

  constructor(deps: ReadOnlyDeps) {
    this.#deps = deps;
  }

  /** Reads it again; called at start and whenever it was changed. */
  async reload(): Promise<void> {
    const turn = ++this.#started;
    const state = await this.#deps.database.read((db) => read(db));
    if (turn < this.#applied) return;
    this.#applied = turn;
    this.#state = state;
  }

  get state(): ReadOnlyState {
    return this.#state;
  }

  /** What keeps the repository, or without one the server, from being written to. */
  of(repo?: string): Standstill | undefined {
    const { server, repositories } = this.#state;
    if (server) return server;
    return repo !== undefined && Object.hasOwn(repositories, repo) ? repositories[repo] : undefined;
  }

  /** Throws what a writer is told while nothing may be written. */
  requireWritable(repo?: string): void {
    const standstill = this.of(repo);
    if (!standstill) return;
    const what = this.#state.server ? 'This server' : `The repository "${repo}"`;
    throw new AppError(
      'unavailable',
      `${what} is read-only at the moment: ${standstill.reason} Reading goes on; try to write again later.`,
      { readOnly: true, retryAfterSeconds: 60 },
    );
  }

  /** Switches it on, for the server or a repository; a second time changes the reason. */
  async set(reason: string, by: string, repo?: string): Promise<void> {
    const standstill = { reason: parseReason(reason), since: new Date().toISOString(), by };
    await this.#change(by, repo, (state) =>
      repo === undefined
        ? { ...state, server: standstill }
        : { ...state, repositories: { ...state.repositories, [repo]: standstill } },
    );
  }

  /** Switches it off; false when it was off. */
  async clear(by: string, repo?: string): Promise<boolean> {
    const known = repo === undefined ? this.#state.server : this.#state.repositories[repo];
    await this.#change(by, repo, (state) => without(state, repo));
    return known !== undefined;
  }

  /** Forgets a repository that is deleted, in the transaction that deletes it. */
  async forget(tx: Tx, repo: string): Promise<void> {
    await lockScope(tx, READ_ONLY);
    const state = await read(tx);
    if (Object.hasOwn(state.repositories, repo)) await write(tx, without(state, repo));
  }

  async #change(by: string, repo: string | undefined, change: (state: ReadOnlyState) => ReadOnlyState): Promise<void> {
    const { database, events } = this.#deps;
    await database.transaction(async (tx) => {
      await lockScope(tx, READ_ONLY);
      const before = await read(tx);
      const after = change(before);
      await write(tx, after);
      const reasonOf = (state: ReadOnlyState) => (repo === undefined ? state.server : state.repositories[repo])?.reason;
      const changes = { repo: repo ?? null, reason: { from: reasonOf(before), to: reasonOf(after) } };
      await events.append(tx, [{ type: 'setting.changed', subject: READ_ONLY, changes }], by);
    });
    await this.reload();
  }
}

function without(state: ReadOnlyState, repo: string | undefined): ReadOnlyState {
  if (repo === undefined) return { repositories: state.repositories };
  const { [repo]: _gone, ...repositories } = state.repositories;
  return { ...state, repositories };
}

function parseReason(text: string): string {
  const reason = text.trim();
  if (reason === '' || reason.length > MAX_REASON || /[\u0000-\u001f\u007f]/.test(reason)) {
    throw new AppError(
      'invalid',
      `Say in one line of at most ${MAX_REASON} characters why nothing may be written: refused clients see it.`,
    );
  }
  return /[.!?]$/.test(reason) ? reason : `${reason}.`;
}

async function read(db: Parameters<typeof getSetting>[0]): Promise<ReadOnlyState> {
  const text = await getSetting(db, READ_ONLY);
  return text === undefined ? NOTHING : (JSON.parse(text) as ReadOnlyState);
}

async function write(tx: Tx, state: ReadOnlyState): Promise<void> {
  await updateSetting(tx, READ_ONLY, JSON.stringify(state));
}
