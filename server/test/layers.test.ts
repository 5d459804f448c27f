/** The layers of docs/architecture.md, enforced: who may import whom, and where each library is at home. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ImportEdge, importEdges, listSourceFiles, parseImports } from './support/import-graph.ts';

const BELOW_SERVICES = ['blobs', 'db', 'config', 'core', 'lib'];
const BELOW_DOMAIN = ['auth', 'jobs', 'events', 'upstream', ...BELOW_SERVICES];
const BELOW_EDGE = ['formats', 'repositories', 'builds', 'search', 'replication', ...BELOW_DOMAIN];
const EVERYTHING = [
  'http',
  'api',
  'web',
  'gateway',
  'cli',
  'app.ts',
  'state.ts',
  'background.ts',
  'main.ts',
  ...BELOW_EDGE,
];

/** What each folder or file at the top may import besides itself. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  'main.ts': EVERYTHING,
  'app.ts': EVERYTHING,
  'state.ts': EVERYTHING,
  'background.ts': EVERYTHING,
  cli: EVERYTHING,
  http: BELOW_EDGE,
  api: BELOW_EDGE,
  web: BELOW_EDGE,
  gateway: BELOW_EDGE,
  formats: ['core', 'lib'],
  repositories: BELOW_DOMAIN,
  builds: BELOW_DOMAIN,
  search: BELOW_DOMAIN,
  replication: BELOW_DOMAIN,
  auth: BELOW_SERVICES,
  jobs: BELOW_SERVICES,
  events: BELOW_SERVICES,
  upstream: ['config', 'core', 'lib'],
  blobs: ['core', 'lib'],
  db: ['core', 'lib'],
  config: ['core', 'lib'],
  core: ['lib'],
  lib: [],
};

/** Sideways imports that are allowed, each with its reason. */
const SIDEWAYS: readonly { readonly from: string; readonly to: string; readonly why: string }[] = [
  { from: 'blobs', to: 'db', why: 'a blob is its bytes and its row; the store keeps the two in step' },
  { from: 'api', to: 'http', why: 'http is what the edge shares: requests, replies, errors' },
  { from: 'web', to: 'http', why: 'http is what the edge shares: requests, replies, errors' },
  { from: 'gateway', to: 'http', why: 'http is what the edge shares: requests, replies, errors' },
  { from: 'builds', to: 'repositories', why: 'the documents of builds are files, and so is what builds made' },
  { from: 'auth', to: 'events', why: 'a change of rights and its event are one transaction' },
];

/** Where a library may be imported; a pattern ending in a slash is a folder. */
const HOMES: readonly { readonly library: RegExp; readonly homes: readonly string[] }[] = [
  { library: /^kysely($|\/)/, homes: ['db/'] },
  { library: /^pg($|\/)/, homes: ['db/dialects/postgres.ts', 'db/dialects/postgres-searches.ts'] },
  { library: /^node:sqlite$/, homes: ['db/dialects/sqlite.ts', 'db/dialects/sqlite-search-worker.ts'] },
  { library: /^@(aws-sdk|smithy)\//, homes: ['blobs/drivers/s3-bucket.ts'] },
  { library: /^jose($|\/)/, homes: ['auth/'] },
  { library: /^commander$/, homes: ['cli/', 'main.ts'] },
  { library: /^(yauzl|yazl|tar-stream)$/, homes: ['lib/archives/'] },
  { library: /^undici$/, homes: ['upstream/'] },
  {
    library: /^(semver|validate-npm-package-name|@fastify\/busboy|htmlparser2|saxes)($|\/)/,
    homes: ['formats/', 'lib/', 'core/', 'search/', 'api/'],
  },
  { library: /^js-yaml$/, homes: ['config/', 'formats/'] },
];

const MAX_LINES = 500;
/** Files that may be longer, each with its reason. */
const LONG_FILES: Readonly<Record<string, string>> = {};

const files = listSourceFiles();
const sources = files.filter((file) => !file.isTest);
const edges = sources.flatMap((file) => importEdges(file));

function layerOf(path: string): string {
  return path.split('/')[0] ?? path;
}

function show(edge: ImportEdge): string {
  return `${edge.from} imports ${edge.to ?? edge.specifier}`;
}

/** Fails with all offences, so that one run shows everything there is to mend. */
function none(rule: string, offences: readonly string[]): void {
  assert.ok(offences.length === 0, `${rule}\n  ${offences.join('\n  ')}`);
}

test('imports go down', () => {
  const offences = edges.filter(({ from, to }) => {
    if (to === undefined) return false;
    const [source, target] = [layerOf(from), layerOf(to)];
    if (source === target || LAYERS[source]?.includes(target)) return false;
    return !SIDEWAYS.some((each) => each.from === source && each.to === target);
  });
  none('Imports go down, never up, never sideways between siblings:', offences.map(show));
});

test('every file belongs to a layer', () => {
  const strays = sources.filter((file) => !Object.hasOwn(LAYERS, layerOf(file.path)));
  none(
    'Every folder of server/src has its place among the layers; these have none:',
    strays.map((file) => file.path),
  );
});

test('a format imports no other format', () => {
  const formatOf = (path: string) => /^formats\/([^/]+)\//.exec(path)?.[1];
  const offences = edges.filter(({ from, to }) => {
    if (to === undefined || layerOf(to) !== 'formats') return false;
    const [source, target] = [formatOf(from), formatOf(to)];
    // The list of formats names each by its index file and is named by none of them.
    if (from === 'formats/index.ts') return target !== undefined && !to.endsWith('/index.ts');
    return source !== undefined && source !== target;
  });
  none('A format imports only core, lib and its own folder:', offences.map(show));
});

test('core imports libraries for their types only', () => {
  const offences = edges.filter(({ from, to, typeOnly }) => layerOf(from) === 'core' && to === undefined && !typeOnly);
  none('core does nothing itself; it imports libraries as types only:', offences.map(show));
});

test('lib does not know the schema library', () => {
  const offences = edges.filter(({ from, specifier }) => layerOf(from) === 'lib' && /^zod($|\/)/.test(specifier));
  none('zod is for the edges, not for lib:', offences.map(show));
});

test('each library is imported at its home only', () => {
  const offences = edges.filter(({ from, specifier }) =>
    HOMES.some(
      ({ library, homes }) =>
        library.test(specifier) && !homes.some((home) => (home.endsWith('/') ? from.startsWith(home) : from === home)),
    ),
  );
  none('A library is imported in one place, so that it can be replaced:', offences.map(show));
});

test('nothing of the tests is imported by the server', () => {
  const offences = edges.filter(({ to }) => to !== undefined && (to.startsWith('..') || to.endsWith('.test.ts')));
  none('The server imports only itself:', offences.map(show));
});

test('there are no default exports', () => {
  const offences = files.filter(({ text }) => /^export default\b|^export \{[^}]*\bas default\b/m.test(text));
  none(
    'Exports have one name, findable by search:',
    offences.map((file) => file.path),
  );
});

test('no code outside formats asks which format it serves', () => {
  const names = formatNames();
  const literal = `['"\`](?:${names.join('|')})['"\`]`;
  const patterns = [
    /\b(?:format\.\w+|packageType|package_type)\s*[!=]==?\s*['"`]/,
    /['"`]\s*[!=]==?\s*[\w.]*\b(?:format\.\w+|packageType|package_type)\b/,
    /\bswitch \([^)]*\b(?:format\.\w+|packageType|package_type)\b/,
    new RegExp(`[!=]==?\\s*${literal}|${literal}\\s*[!=]==?|\\bcase ${literal}`),
  ];
  const offences = sources
    .filter((file) => layerOf(file.path) !== 'formats')
    .flatMap((file) =>
      file.text
        .split('\n')
        .map((line, i) => ({ line, at: `${file.path}:${i + 1}` }))
        .filter(({ line }) => patterns.some((pattern) => pattern.test(line)))
        .map(({ line, at }) => `${at}  ${line.trim()}`),
    );
  none('A format answers for itself through its contract; nobody asks for its name:', offences);
});

/** The folders of formats and the package types they say they serve. */
function formatNames(): string[] {
  const names = new Set(['docker', 'oci', 'helm', 'helmoci', 'npm', 'maven', 'pypi', 'nuget', 'generic']);
  for (const file of sources) {
    const folder = /^formats\/([^/]+)\//.exec(file.path)?.[1];
    if (folder === undefined) continue;
    names.add(folder);
    for (const list of file.text.matchAll(/\bpackageTypes: \[([^\]]*)\]/g)) {
      for (const name of (list[1] ?? '').matchAll(/'([^']+)'/g)) names.add(name[1] ?? '');
    }
  }
  return [...names];
}

test('files are short', (context) => {
  const lengths = files.map((file) => ({ path: file.path, lines: file.text.split('\n').length - 1 }));
  for (const { path, lines } of lengths) {
    if (lines > 400 && lines <= MAX_LINES) context.diagnostic(`${path} has ${lines} lines: split it by subject?`);
  }
  const tooLong = lengths.filter(({ path, lines }) => lines > MAX_LINES && !Object.hasOwn(LONG_FILES, path));
  none(
    `A file has one subject and at most ${MAX_LINES} lines:`,
    tooLong.map(({ path, lines }) => `${path} has ${lines}`),
  );
});

test('import statements of every form are found', () => {
  const text = [
    "import 'a';",
    "import { one } from 'b';",
    "import type { Two } from 'c';",
    "import * as three from 'd';",
    "import four, { type Five } from 'e';",
    'import {',
    '  six,',
    '  type Seven as Eight,',
    "} from 'f';",
    "export { nine } from 'g';",
    "export type { Ten } from 'h';",
    "export * from 'i';",
    "export const text = 'from';",
    "export function none(): string { return ' from '; }",
    "const lazy = await import('j');",
    "let type: import('k').Type;",
    'if (import.meta.main) run();',
  ].join('\n');
  assert.deepEqual(
    parseImports(text)
      .map(({ specifier }) => specifier)
      .join(''),
    'abcdefghijk',
  );
  assert.deepEqual(
    parseImports(text)
      .filter(({ typeOnly }) => typeOnly)
      .map(({ specifier }) => specifier),
    ['c', 'h'],
  );
  assert.throws(() => parseImports("import { a } from /* odd */ 'b';"), /1 import statements begin/);
});
