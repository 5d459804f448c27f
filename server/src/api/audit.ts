/** What administrators and the server itself changed: the part of the event log that is not about artifacts. */
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import type { Database } from '../db/database.ts';
import { listEventsBefore } from '../db/events.ts';
import { type RecordedEvent, recordedEvent } from '../events/event-log.ts';
import { type ApiRequest, READ, type Route, route } from './route.ts';

export interface AuditDeps {
  readonly database: Database;
}

/** Events are read in small portions, so that a log of millions of deposits holds nobody up. */
const PORTION = 2000;
const MAX_PORTIONS = 20;
const MAX_LIMIT = 1000;
const AUDITED = /^(?:repository|user|group|permission|token|key|setting|login)\./;

export function auditRoutes(deps: AuditDeps): readonly Route[] {
  return [
    route({
      methods: READ,
      pattern: 'artifactory/api/system/audit',
      right: 'admin',
      handle: (request) => list(deps, request),
    }),
  ];
}

/** Newest first. `next` is where to go on; there can be more although few were found, or none. */
async function list({ database }: AuditDeps, { query }: ApiRequest): Promise<Reply> {
  const limit = numberOf(query, 'limit', 100, MAX_LIMIT);
  const repo = query.get('repo') ?? undefined;
  const principal = query.get('principal') ?? undefined;
  let before = numberOf(query, 'before', Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const events: RecordedEvent[] = [];
  for (let portion = 0; portion < MAX_PORTIONS && before > 1; portion++) {
    const from = before;
    const rows = await database.read((db) => listEventsBefore(db, { before: from, limit: PORTION }));
    before = rows.length < PORTION ? 0 : (rows.at(-1)?.id ?? 0);
    for (const row of rows) {
      const wanted = repo === undefined || row.repo === repo;
      if (!AUDITED.test(row.type) || !wanted || (principal !== undefined && row.principal !== principal)) continue;
      events.push(recordedEvent(row));
      if (events.length === limit) return reply(events, row.id);
    }
    await new Promise(setImmediate);
  }
  return reply(events, before);
}

function reply(events: readonly RecordedEvent[], next: number): Reply {
  return {
    status: 200,
    json: { events: events.map(({ at, ...event }) => ({ ...event, at: at.toISOString() })), ...(next > 1 && { next }) },
  };
}

function numberOf(query: URLSearchParams, name: string, fallback: number, max: number): number {
  const text = query.get(name);
  if (text === null) return fallback;
  if (/^\d{1,16}$/.test(text) && Number(text) >= 1 && Number(text) <= max) return Number(text);
  throw new AppError('invalid', `"${clip(text)}" cannot be the "${name}": use a number from 1 to ${max}.`);
}
