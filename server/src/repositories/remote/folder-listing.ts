/** What an upstream says that its folders hold: the listing API of servers like this one, or else a page of links. */
import { z } from 'zod';
import { readAll } from '../../core/bodies.ts';
import { clip, encodePath, joinPath, parseRepoPath, type RepoPath } from '../../core/ids.ts';
import type { Upstream, UpstreamAnswer } from '../../core/upstream.ts';
import { parseJson } from '../../lib/json.ts';
import { traceStep } from '../../lib/trace.ts';

export interface ListedEntry {
  readonly name: string;
  readonly folder: boolean;
}

const MAX_BYTES = 4 * 1024 * 1024;
const MAX_ENTRIES = 10_000;
const MAX_TAG = 4000;
const MAX_DEPTH = 10;
const TIMEOUT_MS = 15_000;

/** The entries of the folder by name, as the upstream tells them; undefined where it tells none. */
export async function fetchListing(
  upstream: Upstream,
  base: URL,
  folder: RepoPath,
): Promise<readonly ListedEntry[] | undefined> {
  const api = storageApiOf(base, folder);
  const told = api && (await ask(upstream, { path: '', link: api }, parseStorage));
  const found =
    told ??
    (await ask(upstream, { path: folder === '' ? '' : `${folder}/` }, (bytes, answer) =>
      answer.url.origin === base.origin ? parsePage(bytes, answer) : undefined,
    ));
  if (!found) traceStep(`The upstream lists nothing for "${clip(folder, 300)}".`, 'caller');
  return found && usable(found, folder);
}

/** Where a server like this one tells what a folder holds; undefined where the URL is not of such a server. */
export function storageApiOf(base: URL, path: RepoPath): URL | undefined {
  const match = /^(.*\/artifactory)\/(?!api\/)([^/]+)(\/.*)?$/.exec(base.pathname.replace(/\/+$/, ''));
  if (!match) return undefined;
  const [, context = '', key = '', below = ''] = match;
  const url = new URL(base);
  url.search = '';
  url.hash = '';
  const encoded = encodePath(path);
  url.pathname = `${context}/api/storage/${key}${below}${path === '' ? '' : `/${encoded}`}`;
  return url;
}

async function ask(
  upstream: Upstream,
  what: { readonly path: string; readonly link?: URL },
  parse: (bytes: Buffer, answer: UpstreamAnswer) => readonly ListedEntry[] | undefined,
): Promise<readonly ListedEntry[] | undefined> {
  const headers = { accept: what.link ? 'application/json' : 'text/html' };
  const answer = await upstream.request({ ...what, method: 'GET', headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const encoding = answer.headers['content-encoding'] ?? 'identity';
  if (answer.status !== 200 || encoding !== 'identity') {
    answer.body.once('error', () => undefined).destroy();
    return undefined;
  }
  return parse(await readAll(answer.body, { limit: MAX_BYTES, what: 'listing' }), answer);
}

const storage = z.object({ children: z.array(z.object({ uri: z.string(), folder: z.boolean() })) });

function parseStorage(bytes: Buffer): readonly ListedEntry[] | undefined {
  const parsed = parseJson(bytes, { maxDepth: MAX_DEPTH });
  const read = 'value' in parsed ? storage.safeParse(parsed.value) : undefined;
  return read?.success
    ? read.data.children.slice(0, MAX_ENTRIES).map(({ uri, folder }) => ({ name: uri.replace(/^\//, ''), folder }))
    : undefined;
}

/** The links of a page that lead to something directly below it, and to nothing else. */
export function parsePage(
  bytes: Buffer,
  { url, headers }: Pick<UpstreamAnswer, 'url' | 'headers'>,
): readonly ListedEntry[] | undefined {
  if (!/^(?:text\/html|application\/xhtml\+xml)\b/i.test(headers['content-type'] ?? '')) return undefined;
  const page = bytes.toString('utf8');
  const found: ListedEntry[] = [];
  const start = /<a[\s]/gi;
  for (let match = start.exec(page); match && found.length < MAX_ENTRIES; match = start.exec(page)) {
    const end = page.indexOf('>', match.index);
    if (end === -1) break;
    start.lastIndex = end + 1;
    const tag = page.slice(match.index, Math.min(end, match.index + MAX_TAG));
    const entry = entryOf(/\shref\s{0,10}=\s{0,10}(?:"([^"]*)"|'([^']*)')/i.exec(tag), url);
    if (entry) found.push(entry);
  }
  return found;
}

function entryOf(href: RegExpExecArray | null, page: URL): ListedEntry | undefined {
  const text = href && decodeEntities(href[1] ?? href[2] ?? '');
  const link = text ? URL.parse(text, page) : undefined;
  const folder = page.pathname.slice(0, page.pathname.lastIndexOf('/') + 1);
  if (!link || link.origin !== page.origin || link.search !== '' || !link.pathname.startsWith(folder)) return undefined;
  const [, name, slash] = /^([^/]+)(\/)?$/.exec(link.pathname.slice(folder.length)) ?? [];
  if (name === undefined) return undefined;
  try {
    return { name: decodeURIComponent(name), folder: slash !== undefined };
  } catch {
    return undefined;
  }
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decodeEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,4}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[String(name).toLowerCase()] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** Each name once, and only those that can be names here. */
function usable(entries: readonly ListedEntry[], folder: RepoPath): readonly ListedEntry[] {
  const byName = new Map<string, ListedEntry>();
  for (const entry of entries) {
    if (isName(entry.name, folder) && !(byName.get(entry.name)?.folder ?? false)) byName.set(entry.name, entry);
  }
  return [...byName.values()];
}

function isName(name: string, folder: RepoPath): boolean {
  if (name === '' || name.includes('/')) return false;
  try {
    parseRepoPath(joinPath(folder, name));
    return true;
  } catch {
    return false;
  }
}
