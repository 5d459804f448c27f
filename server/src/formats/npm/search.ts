/** Search by words, as `npm search` asks. */
import { AppError, isAppError } from '../../core/errors.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Repository } from '../../core/repository.ts';
import { isPrerelease } from './names.ts';
import type { Packument } from './packument.ts';
import { recordOf } from './release.ts';
import type { SearchResults } from './upstream.ts';

const MAX_TEXT = 1024;
const DEFAULT_SIZE = 20;
const MAX_SIZE = 250;
const MAX_FROM = 10_000;
/** Names looked at, and documents read, for one search. */
const MAX_NAMES = 20_000;
const MAX_DOCUMENTS = 300;
const PAGE = 1000;

interface Query {
  readonly words: readonly string[];
  readonly fields: readonly { readonly key: string; readonly values: readonly string[] }[];
}

type Manifest = Readonly<Record<string, unknown>>;

export async function search(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const text = request.query.get('text') ?? '';
  if (text.length > MAX_TEXT) throw new AppError('invalid', `A search cannot be longer than ${MAX_TEXT} characters.`);
  const size = Math.min(whole(request.query.get('size'), DEFAULT_SIZE), MAX_SIZE);
  const from = Math.min(whole(request.query.get('from'), 0), MAX_FROM);
  const query = parseQuery(text);
  const elsewhere = from === 0 ? await searchUpstreams(repo, text, size) : [];
  const names = await namesFor(repo, query);
  const found: unknown[] = [];
  let matches = 0;
  const known = new Set(elsewhere.map(({ name }) => name));
  for (const name of names.slice(0, MAX_DOCUMENTS)) {
    if (found.length >= size) break;
    if (known.has(name)) continue;
    const entry = await entryOf(repo, name, query);
    if (!entry) continue;
    matches += 1;
    if (matches > from) found.push(entry);
  }
  matches += elsewhere.length;
  found.push(...elsewhere.map(({ entry }) => entry).slice(0, size - found.length));
  const total = found.length < size ? from + found.length : Math.max(names.length, from + found.length);
  return {
    status: 200,
    json: { objects: found, total: matches === 0 ? 0 : total, time: new Date().toUTCString() },
    headers: { 'Cache-Control': 'private, max-age=30' },
  };
}

/** What upstreams find, where there are any and they answer. */
async function searchUpstreams(repo: Repository, text: string, size: number): Promise<SearchResults['found']> {
  try {
    const held = await repo.document('search', new URLSearchParams({ text, size: String(size) }).toString());
    return held ? ((await held.read()) as unknown as SearchResults).found : [];
  } catch (error) {
    if (isAppError(error)) return [];
    throw error;
  }
}

function whole(text: string | null, fallback: number): number {
  if (text === null || text === '') return fallback;
  if (!/^\d{1,12}$/.test(text))
    throw new AppError('invalid', '"size" and "from" must be whole numbers that are not negative.');
  return Number(text);
}

/** `word word keywords:a,b author:c`. */
function parseQuery(text: string): Query {
  const words: string[] = [];
  const fields: { key: string; values: string[] }[] = [];
  for (const part of text.toLowerCase().split(/[\s+]+/)) {
    const [, key, value] = /^(keywords|author|maintainer|scope|not|is|boost-exact):(.*)$/.exec(part) ?? [];
    if (key !== undefined && value !== undefined)
      fields.push({ key, values: value.split(',').filter((one) => one !== '') });
    else if (part !== '') words.push(part);
  }
  return { words, fields };
}

/** Names to look into: those that hold the words first, and the others where the words may stand elsewhere. */
async function namesFor(repo: Repository, { words }: Query): Promise<readonly string[]> {
  const [close, far]: [string[], string[]] = [[], []];
  let after: string | undefined;
  for (let seen = 0; seen < MAX_NAMES; ) {
    const page = await repo.packages({ limit: PAGE, ...(after !== undefined && { after }) });
    for (const name of page) (words.every((word) => name.toLowerCase().includes(word)) ? close : far).push(name);
    seen += page.length;
    after = page.at(-1);
    if (page.length < PAGE) break;
  }
  const exact = words.join(' ');
  close.sort((a, b) => Number(b === exact) - Number(a === exact) || a.length - b.length);
  return [...close, ...far];
}

async function entryOf(repo: Repository, name: string, { words, fields }: Query): Promise<unknown> {
  const held = await repo.document('packument', name);
  if (!held) return undefined;
  const doc = (await held.read()) as unknown as Packument;
  const { latest: version } = doc;
  const release = version === undefined ? undefined : doc.releases.get(version);
  if (!release) return undefined;
  const manifest = JSON.parse(`{${release.full}}`) as Manifest;
  const keywords = listOf(manifest['keywords']);
  const description = typeof manifest['description'] === 'string' ? manifest['description'] : '';
  const haystack = [name, description, ...keywords].join(' ').toLowerCase();
  if (!words.every((word) => haystack.includes(word))) return undefined;
  const facts = {
    name,
    version: release.version,
    keywords,
    manifest,
    doc,
    deprecated: release.deprecated !== undefined,
  };
  if (!fields.every(({ key, values }) => meets(key, values, facts))) return undefined;
  return {
    package: {
      name,
      scope: name.startsWith('@') ? name.slice(1, name.indexOf('/')) : 'unscoped',
      version: release.version,
      description,
      keywords,
      date: release.time ?? doc.modified,
      author: personOf(manifest['author']),
      publisher: personOf(doc.maintainers[0]) ?? { username: '' },
      maintainers: doc.maintainers.map(personOf),
      links: linksOf(manifest),
    },
    score: { final: 1, detail: { quality: 1, popularity: 1, maintenance: 1 } },
    searchScore: 1,
  };
}

interface Facts {
  readonly name: string;
  readonly version: string;
  readonly keywords: readonly string[];
  readonly manifest: Manifest;
  readonly doc: Packument;
  readonly deprecated: boolean;
}

function meets(key: string, values: readonly string[], facts: Facts): boolean {
  switch (key) {
    case 'keywords':
      return values.some((value) => facts.keywords.some((word) => word.toLowerCase() === value));
    case 'author':
      return values.some((value) =>
        JSON.stringify(facts.manifest['author'] ?? '')
          .toLowerCase()
          .includes(value),
      );
    case 'maintainer':
      return values.some((value) =>
        facts.doc.maintainers.some((one) => String(recordOf(one)['name']).toLowerCase() === value),
      );
    case 'scope':
      return values.some((value) => facts.name.startsWith(`@${value.replace(/^@/, '')}/`));
    case 'not':
      return values.every((value) => !describes(value, facts));
    case 'is':
      return values.every((value) => describes(value, facts));
    default:
      return true;
  }
}

function describes(word: string, { version, deprecated }: Facts): boolean {
  if (word === 'deprecated') return deprecated;
  return word === 'unstable' && (isPrerelease(version) || version.startsWith('0.'));
}

function listOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}

function personOf(value: unknown): { name?: string; username: string; email?: string } | undefined {
  if (typeof value === 'string') return { name: value, username: value };
  const { name, email } = recordOf(value);
  if (typeof name !== 'string') return undefined;
  return { name, username: name, ...(typeof email === 'string' && { email }) };
}

function linksOf(manifest: Manifest): Readonly<Record<string, string>> {
  const urlOf = (value: unknown) => (typeof value === 'string' ? value : recordOf(value)['url']);
  const links = {
    homepage: urlOf(manifest['homepage']),
    repository: urlOf(manifest['repository']),
    bugs: urlOf(manifest['bugs']),
  };
  return Object.fromEntries(
    Object.entries(links).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
