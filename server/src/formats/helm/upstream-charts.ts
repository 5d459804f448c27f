/** What the index of an upstream says, made ours: pure, so that it can be done in a thread of its own. */
import { CORE_SCHEMA, load, YAMLException } from 'js-yaml';
import { compileAntPattern } from '../../core/ant-pattern.ts';
import { isAppError } from '../../core/errors.ts';
import { encodePath, parseRepoPath, type RepoPath } from '../../core/ids.ts';
import { type Chart, type ChartEntry, chartOf, entryOf } from './chart.ts';
import { chartFields } from './chart-yaml.ts';
import { type ChartFile, chartAt, EXTERNAL, FOLDER, fileNameOf, INDEX_FILE } from './names.ts';
import { parseVersion } from './versions.ts';

/** Where the index came from, and which addresses are taken over; as it can be handed to a thread. */
export interface Origin {
  readonly base: string;
  readonly chartsBaseUrl: string;
  /** Which addresses at other servers are taken over; all of them where undefined. */
  readonly patterns: readonly string[] | undefined;
}

const MAX_ENTRY_BYTES = 256 * 1024;
const MAX_VALUES = 20_000;
const MAX_DEPTH = 16;
const MAX_NAME = 200;

/** The index is none; the message is a sentence. */
export class IndexProblem extends Error {}

/** The charts of an index by name. Entries that no client would take are left out. */
export function* readCharts(text: string, origin: Origin): Generator<Chart> {
  const index = parsed(text);
  if (typeof index !== 'object' || index === null || Array.isArray(index)) throw noIndex('it is no mapping');
  const { apiVersion, entries } = index as Readonly<Record<string, unknown>>;
  if (apiVersion === undefined) throw noIndex('it has no "apiVersion"');
  if (entries === undefined || entries === null) return;
  if (typeof entries !== 'object' || Array.isArray(entries)) throw noIndex('its "entries" are no mapping');
  const places = new Places(origin);
  const list = entries as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(list).sort()) {
    const versions = list[name];
    if (!Array.isArray(versions) || !isUsable(name)) continue;
    const found = new Map<string, ChartEntry>();
    for (const item of versions as readonly unknown[]) {
      const entry = readEntry(item, name, places);
      if (entry && !found.has(entry.version)) found.set(entry.version, entry);
    }
    const chart = chartOf(name, [...found.values()]);
    if (chart) yield chart;
  }
}

/** Names that clients could take for paths are refused by them too. */
function isUsable(name: string): boolean {
  return name !== '' && name.length <= MAX_NAME && name !== '__proto__' && !/[/\\]|^\.\.?$/.test(name);
}

function parsed(text: string): unknown {
  if (text.trim() === '') throw noIndex('it is empty');
  if (text.trimStart().startsWith('{')) {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      // YAML can begin so too.
    }
  }
  try {
    return load(text, { schema: CORE_SCHEMA, json: true } as Parameters<typeof load>[1]);
  } catch (error) {
    if (error instanceof YAMLException || error instanceof RangeError) throw noIndex('it is no YAML of plain values');
    throw error;
  }
}

function noIndex(problem: string): IndexProblem {
  return new IndexProblem(`What came is no index of charts: ${problem}.`);
}

function readEntry(item: unknown, name: string, places: Places): ChartEntry | undefined {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return undefined;
  const fields = item as Readonly<Record<string, unknown>>;
  const { urls, created, digest, version } = fields;
  const [first] = Array.isArray(urls) ? (urls as readonly unknown[]) : [];
  const text = typeof version === 'number' ? String(version) : version;
  if (typeof first !== 'string' || typeof text !== 'string' || !parseVersion(text)) return undefined;
  if (!isPlain(item, { left: MAX_VALUES }, 0)) return undefined;
  const place = places.of(first, { name, version: text });
  if (!place) return undefined;
  const hex = typeof digest === 'string' ? digest.replace(/^sha256:/, '').toLowerCase() : '';
  const entry = entryOf({
    version: text,
    fields: { ...chartFields(fields), name, version: text },
    created: timeOf(created),
    ...(/^[0-9a-f]{64}$/.test(hex) && { digest: hex }),
    ...place,
  });
  return entry.json.length > MAX_ENTRY_BYTES ? undefined : entry;
}

const TIME = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** A time that clients cannot read would spoil the index for them. */
function timeOf(created: unknown): string {
  const time = typeof created === 'string' && TIME.test(created) ? new Date(created) : undefined;
  return time && !Number.isNaN(time.getTime()) ? time.toISOString() : '';
}

/** An alias that multiplies itself is met at the limit, before anything copies it. */
function isPlain(value: unknown, budget: { left: number }, depth: number): boolean {
  budget.left -= 1;
  if (budget.left < 0 || depth > MAX_DEPTH) return false;
  if (typeof value !== 'object' || value === null) return true;
  if (Object.hasOwn(value, '__proto__')) return false;
  return Object.values(value).every((each) => isPlain(each, budget, depth + 1));
}

interface Place {
  readonly path: RepoPath | undefined;
  readonly url: string;
  readonly link?: string;
}

/** Where in the repository the archives lie that an index links to. */
class Places {
  readonly #base: URL;
  readonly #charts: URL | undefined;
  readonly #accepts: (address: string) => boolean;

  constructor({ base, chartsBaseUrl, patterns }: Origin) {
    this.#base = folder(new URL(base));
    const charts = URL.parse(chartsBaseUrl);
    this.#charts = charts && /^https?:$/.test(charts.protocol) ? folder(charts) : undefined;
    const compiled = patterns?.flatMap((pattern) => {
      try {
        return [compileAntPattern(pattern)];
      } catch (error) {
        if (isAppError(error, 'invalid')) return [];
        throw error;
      }
    });
    this.#accepts = (address) => !compiled || compiled.some((pattern) => pattern.matches(address));
  }

  /** Undefined for what is no address. */
  of(text: string, chart: ChartFile): Place | undefined {
    const url = text.length > 4000 ? null : URL.parse(text, this.#base);
    if (!url) return undefined;
    url.hash = '';
    if (url.protocol !== 'http:' && url.protocol !== 'https:') return { path: undefined, url: url.href };
    // An index may not have our credentials sent anywhere, nor others.
    url.username = '';
    url.password = '';
    const own = named(below(url, this.#base), chart);
    if (own !== undefined) return { path: own, url: encodePath(own), ...(url.search !== '' && { link: url.href }) };
    const charts = this.#charts && named(below(url, this.#charts), chart);
    if (charts !== undefined) return { path: charts, url: encodePath(charts), link: url.href };
    const isSame = url.host === this.#base.host;
    if (!isSame && !this.#accepts(`${url.host}${url.pathname}`) && !this.#accepts(url.href)) {
      return { path: undefined, url: url.href };
    }
    const elsewhere = `${EXTERNAL}/${url.protocol.slice(0, -1)}/${url.host}${url.pathname}`;
    const path = named(pathOf(elsewhere), chart) ?? pathOf(`${elsewhere.replace(/\/+$/, '')}/${fileNameOf(chart)}`);
    return path === undefined ? { path: undefined, url: url.href } : { path, url: encodePath(path), link: url.href };
  }
}

/** What a file is called decides who may have it: one that is called otherwise gets a name that says what it is. */
function named(path: RepoPath | undefined, chart: ChartFile): RepoPath | undefined {
  return path !== undefined && chartAt(path)?.name === chart.name ? path : undefined;
}

function folder(url: URL): URL {
  const made = new URL(url);
  made.search = '';
  made.hash = '';
  made.username = '';
  made.password = '';
  if (!made.pathname.endsWith('/')) made.pathname += '/';
  return made;
}

function below(url: URL, base: URL): RepoPath | undefined {
  if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) return undefined;
  const path = pathOf(url.pathname.slice(base.pathname.length));
  const [first] = path?.split('/') ?? [];
  return path === INDEX_FILE || first === FOLDER || first === EXTERNAL || path === '' ? undefined : path;
}

function pathOf(encoded: string): RepoPath | undefined {
  try {
    return parseRepoPath(decodeURIComponent(encoded));
  } catch (error) {
    if (error instanceof URIError || isAppError(error, 'invalid')) return undefined;
    throw error;
  }
}
