/** What happened, written in the transaction that made it happen. */
import type { RepoKey, RepoPath, Sha256 } from '../core/ids.ts';
import { afterCommit, type Tx } from '../db/database.ts';
import { type EventRow, insertEvents, type NewEventRow } from '../db/events.ts';

export interface Place {
  readonly repo: RepoKey;
  readonly path: RepoPath;
}

type Changes = Readonly<Record<string, unknown>>;
type Change = 'created' | 'updated' | 'deleted';

export type DomainEvent =
  | ({ readonly type: 'artifact.deposited' | 'artifact.deleted' | 'properties.changed' } & Place)
  | ({ readonly type: 'artifact.moved' | 'artifact.copied'; readonly to: Place } & Place)
  /** `changes` are old and new values by field, without secrets. */
  | { readonly type: `repository.${Change}`; readonly repo: RepoKey; readonly changes?: Changes }
  /** `subject` is the name of the user, group or permission target, or the id of the token or key. */
  | {
      readonly type:
        | `user.${Change}`
        | `group.${Change}`
        | `permission.${Change}`
        | 'token.created'
        | 'token.revoked'
        | 'key.created'
        | 'key.retired'
        | 'setting.changed'
        | 'login.failed';
      readonly subject: string;
      readonly changes?: Changes;
    }
  /** Blobs whose rows are gone: whoever remembers one of them must forget it. */
  | { readonly type: 'blob.condemned'; readonly digests: readonly Sha256[] };

/** An event as the log has it. A log written by a newer release may hold types this one does not know. */
export type RecordedEvent = DomainEvent & { readonly id: number; readonly principal: string; readonly at: Date };

export type AppendListener = (events: readonly RecordedEvent[]) => void;

export class EventLog {
  readonly #listeners = new Set<AppendListener>();

  /** Writes the events, in order, if and only if the transaction commits. */
  async append(tx: Tx, events: readonly DomainEvent[], principalName: string): Promise<void> {
    if (events.length === 0) return;
    const written = await insertEvents(
      tx,
      events.map((event) => toRow(event, principalName)),
    );
    const recorded = events.map((event, i): RecordedEvent => {
      const row = written[i];
      if (!row) throw new Error('the database returned fewer events than were written');
      return { ...event, id: row.id, principal: principalName, at: new Date(row.at) };
    });
    afterCommit(tx, () => {
      for (const listener of this.#listeners) listener(recorded);
    });
  }

  /** Has `listener` called with what this process appended, right after each commit. It must not throw. */
  onAppended(listener: AppendListener): void {
    this.#listeners.add(listener);
  }
}

function toRow(event: DomainEvent, principal: string): NewEventRow {
  const { type, ...rest } = event;
  const { repo = null, path = null, ...payload } = rest as Partial<Place> & Record<string, unknown>;
  return { type, repo, path, principal, payload: JSON.stringify(payload) };
}

/** The event a row holds. */
export function recordedEvent(row: EventRow): RecordedEvent {
  const { id, type, repo, path, principal, payload, at } = row;
  return {
    ...(JSON.parse(payload) as object),
    ...(repo === null ? {} : { repo }),
    ...(path === null ? {} : { path }),
    type,
    id,
    principal,
    at: new Date(at),
  } as RecordedEvent;
}
