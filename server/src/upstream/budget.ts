/** What an upstream says of how often it may be asked. */
import type { IncomingHttpHeaders } from 'node:http';
import type { UpstreamBudget } from '../core/upstream.ts';

/** Reads `ratelimit-limit: 100;w=21600` and its like; undefined where an answer says nothing of it. */
export function parseBudget(headers: IncomingHttpHeaders, now: number): UpstreamBudget | undefined {
  const limit = parseQuota(headers['ratelimit-limit']);
  const remaining = parseQuota(headers['ratelimit-remaining']);
  if (!remaining) return undefined;
  return {
    limit: limit?.count,
    remaining: remaining.count,
    windowSeconds: remaining.windowSeconds ?? limit?.windowSeconds,
    seenAt: new Date(now),
  };
}

function parseQuota(field: string | string[] | undefined): { count: number; windowSeconds?: number } | undefined {
  const [, count, window] = /^\s*(\d{1,12})\s*(?:;\s*w=(\d{1,9}))?/.exec([field ?? ''].flat().join(',')) ?? [];
  if (count === undefined) return undefined;
  return { count: Number(count), ...(window !== undefined && { windowSeconds: Number(window) }) };
}
