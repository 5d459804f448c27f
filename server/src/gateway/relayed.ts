/** Requests that another server makes because one of its clients asked it. */
import type { IncomingMessage } from 'node:http';

/** Whether the request says of itself that another server of this kind makes it. */
export function isRelayed({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return headers['x-artifactory-originated'] !== undefined;
}
