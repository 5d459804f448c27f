/** The address that is asked, built from what was parsed: nothing that a client spelled reaches an upstream as it was. */
import { type Ask, UpstreamFailure } from '../core/upstream.ts';

export interface AskedUrlOptions {
  readonly queryParams?: string | undefined;
  readonly disableUrlNormalization?: boolean | undefined;
}

/**
 * What of RFC 3986's `pchar` encodeURIComponent escapes without need, and upstreams of npm, Maven and Docker want as it
 * is. A semicolon stays escaped: other servers cut names at it, and would read another path than we did.
 */
const KEPT: Readonly<Record<string, string>> = {
  '%40': '@',
  '%2B': '+',
  '%3A': ':',
  '%2C': ',',
  '%3D': '=',
  '%24': '$',
  '%26': '&',
};
const ESCAPES = new RegExp(Object.keys(KEPT).join('|'), 'g');
const CONTROL = /[\u0000-\u001f\u007f]/;

/** The base of all addresses of a repository, without credentials and fragment; throws if it is no http address. */
export function parseBaseUrl(text: string): URL {
  const url = URL.parse(text.trim());
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '') {
    throw new UpstreamFailure(
      'refused',
      'The URL of the repository is no http or https address; correct its settings.',
    );
  }
  url.username = '';
  url.password = '';
  url.hash = '';
  return url;
}

/** Where the ask goes: below the base, or to its link. */
export function askedUrl(base: URL, ask: Ask, options: AskedUrlOptions): URL {
  if (ask.link) return linkedUrl(base, ask.link, ask, options);
  const path = encodePath(ask.path, options.disableUrlNormalization ?? false);
  const url = new URL(base);
  // Without a path it is the base itself that is asked, with or without a slash at its end, as it was written.
  const pathname = path === '' ? base.pathname : `${base.pathname.replace(/\/+$/, '')}/${path}`;
  url.pathname = pathname;
  if (url.pathname !== pathname) throw refusal(ask.path);
  url.search = joinQuery(base.search.slice(1), options.queryParams, ask.query);
  return url;
}

/** Credentials in a link are nobody's; parameters of the repository belong to its own host. */
function linkedUrl(base: URL, link: URL, ask: Ask, options: AskedUrlOptions): URL {
  const url = new URL(link);
  url.username = '';
  url.password = '';
  url.hash = '';
  const own = url.origin === base.origin ? options.queryParams : undefined;
  if (own !== undefined || ask.query) url.search = joinQuery(url.search.slice(1), own, ask.query);
  return url;
}

function encodePath(path: string, keepsDoubleSlashes: boolean): string {
  const segments = path.replace(/^\/+/, '').split('/');
  const kept = keepsDoubleSlashes
    ? segments
    : segments.filter((segment, i) => segment !== '' || i === segments.length - 1);
  return kept.map((segment) => encodeSegment(segment, path)).join('/');
}

function encodeSegment(segment: string, path: string): string {
  // Escaped dots are dots to every reader of URLs, and some cut names at a backslash or a semicolon first.
  const hasDots = segment.split(/[\\;]/).some((part) => part === '.' || part === '..');
  if (hasDots || CONTROL.test(segment) || !segment.isWellFormed()) throw refusal(path);
  return encodeURIComponent(segment).replaceAll(ESCAPES, (found) => KEPT[found] ?? found);
}

function joinQuery(
  first: string,
  second: string | undefined,
  query: Readonly<Record<string, string>> | undefined,
): string {
  const asked = Object.entries(query ?? {}).map(([name, value]) => `${encodeQuery(name)}=${encodeQuery(value)}`);
  const own = (second ?? '').trim().replace(/^[?&]+/, '');
  return [first, own, ...asked].filter((part) => part !== '').join('&');
}

function encodeQuery(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

function refusal(path: string): UpstreamFailure {
  return new UpstreamFailure(
    'refused',
    `The path ${JSON.stringify(path.slice(0, 200))} cannot be asked of an upstream.`,
  );
}
