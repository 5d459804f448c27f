/** Where an answer leads, and what may go along. */
import type { IncomingHttpHeaders } from 'node:http';
import { UpstreamFailure } from '../core/upstream.ts';

export interface Hop {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  readonly body?: Buffer | undefined;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** What another origin than the one we meant may know of a request: nothing that is of the repository's settings. */
const TRAVELLING: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'content-type',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'range',
  'user-agent',
]);

/** The next hop of an answer that is a redirect; throws an UpstreamFailure if it must not be followed. */
export function nextHop(hop: Hop, status: number, headers: IncomingHttpHeaders): Hop | undefined {
  const { location } = headers;
  if (!REDIRECTS.has(status) || location === undefined) return undefined;
  const url = URL.parse(decodedField(location), hop.url);
  if (!url) throw refusal(`Host "${hop.url.host}" redirects to what is no address.`);
  url.username = '';
  url.password = '';
  url.hash = '';
  checkScheme(hop.url, url);
  const becomesGet = hop.method === 'POST' && status < 307;
  return becomesGet ? { method: 'GET', url } : { ...hop, url };
}

/** The text of a field: bytes beyond ASCII are UTF-8 in practice (RFC 9110, section 5.5, leaves them open). */
export function decodedField(field: string): string {
  return /[\u0080-\u00ff]/.test(field) ? Buffer.from(field, 'latin1').toString('utf8') : field;
}

/** Refuses to go from https to http, and to schemes of which neither is one. */
export function checkScheme(from: URL, to: URL): void {
  if (to.protocol !== 'http:' && to.protocol !== 'https:') {
    throw refusal(
      `Host "${from.host}" leads to an address of the scheme "${to.protocol.slice(0, 20)}", which is not asked.`,
    );
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw refusal(`Host "${from.host}" leads from https down to http, to host "${to.host}"; that is not followed.`);
  }
}

/** The headers that go to an origin which the repository's settings do not name. */
export function travellingHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => TRAVELLING.has(name)));
}

function refusal(message: string): UpstreamFailure {
  return new UpstreamFailure('refused', message);
}
