/**
 * No query shows what its caller may not read. Callers with generated rights ask every query of the table, and each
 * answer is compared with the administrator's, filtered by the check that guards single files.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinPath, type RepoKey, type RepoPath } from '../../../src/core/ids.ts';
import type { Principal, TokenScope } from '../../../src/core/principal.ts';
import { answerAql } from '../../../src/search/aql/query.ts';
import { ITEM_QUERIES } from './item-queries.ts';
import { buildDocument, onEachDatabase, type SearchWorld } from './search-world.ts';

type User = Extract<Principal, { kind: 'user' }>;
type ResultRow = Record<string, unknown> & { readonly repo: RepoKey; readonly path: string; readonly name: string };

const CALLERS = 24;
const PATTERNS = [
  '**',
  '*',
  'org/**',
  'org/acme/**',
  'org/acme',
  'org/*/1.0/*',
  'org/**/a*.jar',
  '**/*.jar',
  '**/acme/**',
  '**/1.?/**',
  '**/1.0/**/*',
  '*.txt',
  '?.txt',
  '**/?.txt',
  'ü/*',
  'we[ird/**',
  'we[ird/w%_.txt',
  'models/x',
  'models/',
  '**/v?/*',
  'a/b/**',
  'd/e/',
  '**/f/**',
  'img/**',
  'b/**',
  'b/7-*',
  '**/*.json',
  'team%2Fc/**',
];
const ADMIN: User = { kind: 'user', id: 'root', name: 'root', groups: [], admin: true };
const LISTING = '.include("repo","path","name","type"';
const NESTED = `${LISTING},"property","stat","archive.entry","artifact.module.build.name","dependency.module.build.name")`;
const B7 = buildDocument('b', '7', '2024-02-01').join('/');
const B8 = buildDocument('b', '8', '2024-03-01').join('/');
const C1 = buildDocument('team/c', '1', '2024-04-01').join('/');
/** Documents of the builds, by items and by what their rows say. */
const BUILD_OF: Readonly<Record<string, string>> = {
  'a1.jar': B7,
  'a1.pom': B7,
  'o1.jar': B7,
  'a2.jar': B8,
  'App.zip': C1,
};
const BUILD_WITH_NUMBER: Readonly<Record<string, string>> = { 7: B7, 8: B8, 1: C1 };

onEachDatabase('rights in queries', (world) => {
  test('decide as the check of single files does, ten thousand times', { timeout: 300_000 }, async () => {
    const random = seeded(7);
    const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
    const some = <T>(list: readonly T[], most: number) =>
      Array.from({ length: 1 + Math.floor(random() * most) }, () => pick(list));
    const callers = await makeCallers(world(), { random, pick, some });
    let decisions = 0;
    for (const [round, settings] of [
      {},
      { libs: { excludesPattern: 'org/other/**,**/a1.*' }, apps: { includesPattern: 'img/**,models/x/*/*' } },
      { other: { blackedOut: true }, libs: { includesPattern: '**/*.jar' } },
    ].entries()) {
      await configure(world(), settings);
      const asked = ITEM_QUERIES.filter((_query, i) => round === 0 || i % 3 === round);
      for (const [query] of asked) {
        const whole = await find(world(), listing(query, { paged: false }), ADMIN);
        for (const caller of callers) {
          const may = await deciderFor(world(), caller);
          const visible: ResultRow[] = [];
          for (const row of whole) {
            decisions += 1;
            if (await may(row, query)) visible.push(row);
          }
          const found = await find(world(), listing(query, { paged: true }), caller);
          expectSame(found, visible, query, `${query} as ${JSON.stringify(caller)} in round ${round}`);
        }
      }
    }
    assert.ok(decisions >= 10_000, `only ${decisions} decisions were made`);
  });

  test('hold for what is shown with items, and for every other domain', async () => {
    const random = seeded(11);
    const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
    const some = <T>(list: readonly T[], most: number) =>
      Array.from({ length: 1 + Math.floor(random() * most) }, () => pick(list));
    await configure(world(), { libs: { excludesPattern: '**/a1.pom' } });
    const callers = await makeCallers(world(), { random, pick, some });
    for (const caller of callers) {
      const may = await deciderFor(world(), caller);
      const items = await find(world(), `items.find()${NESTED}`, ADMIN);
      const expected: unknown[] = [];
      for (const row of items) {
        if (!(await may(row, 'items.find()'))) continue;
        const copy: Record<string, unknown> = { ...row };
        if (!mayReadBuild(world(), caller, BUILD_OF[row.name] ?? '')) {
          delete copy['artifacts'];
          delete copy['dependencies'];
        }
        expected.push(copy);
      }
      assert.deepEqual(sorted(await find(world(), `items.find()${NESTED}`, caller)), sorted(expected));

      for (const query of [
        'properties.find().include("key","value","item.repo","item.path","item.name","item.type")',
        'stats.find().include("downloads","item.repo","item.path","item.name","item.type")',
        'archives.find().include("id","entry","item.repo","item.path","item.name","item.type")',
      ]) {
        const wanted: unknown[] = [];
        for (const row of await find(world(), query, ADMIN)) {
          const seen: ResultRow[] = [];
          for (const item of row['items'] as ResultRow[]) {
            if (await may(item, `${query} "@"`)) seen.push(item);
          }
          if (seen.length > 0) wanted.push({ ...row, items: seen });
        }
        assert.deepEqual(
          sorted(await find(world(), query, caller)),
          sorted(wanted),
          `${query} as ${JSON.stringify(caller)}`,
        );
      }
      for (const query of [
        'builds.find().include("name","number","property","promotion","module")',
        'artifacts.find().include("name","module.build.number")',
        'modules.find().include("name","build.number")',
        'build.properties.find().include("value","build.number")',
        'build.promotions.find().include("status","build.number")',
        'module.properties.find().include("value","module.build.number")',
        'dependencies.find().include("name","module.build.number")',
      ]) {
        const wanted = (await find(world(), query, ADMIN)).filter((row) => {
          const [, number = ''] = /"build\.number":"(\d)"/.exec(JSON.stringify(row)) ?? [];
          return mayReadBuild(world(), caller, BUILD_WITH_NUMBER[number] ?? '');
        });
        assert.deepEqual(
          sorted(await find(world(), query, caller)),
          sorted(wanted),
          `${query} as ${JSON.stringify(caller)}`,
        );
      }
    }
  });
});

interface Dice {
  random(): number;
  pick<T>(list: readonly T[]): T;
  some<T>(list: readonly T[], most: number): T[];
}

/** Users with permission targets of their own, some with tokens that narrow them, and narrowed administrators. */
async function makeCallers({ app }: SearchWorld, { random, pick, some }: Dice): Promise<User[]> {
  const { database, permissions } = app.core;
  const callers: User[] = [];
  await database.transaction(async (tx) => {
    await tx.deleteFrom('permission_target').execute();
    for (let i = 0; i < CALLERS; i++) {
      const id = `caller-${i}`;
      for (let n = 0; n < Math.floor(random() * 4); n++) {
        const repositories = some(['libs', 'apps', 'other', 'artifactory-build-info', 'ANY', 'ANY LOCAL'], 2);
        const target = await tx
          .insertInto('permission_target')
          .values({
            name: `target-${i}-${n}`,
            repositories: JSON.stringify(repositories),
            includes: JSON.stringify(random() < 0.3 ? ['**'] : some(PATTERNS, 3)),
            excludes: JSON.stringify(random() < 0.5 ? [] : some(PATTERNS.slice(1), 2)),
          })
          .returning('id')
          .executeTakeFirstOrThrow();
        await tx
          .insertInto('permission_grant')
          .values({ target_id: target.id, kind: 'user', subject: id, actions: JSON.stringify(['read']) })
          .execute();
      }
      const scope: TokenScope | undefined =
        random() < 0.25
          ? [{ actions: ['read'], repos: some(['libs', 'apps', '*'], 2), paths: some(PATTERNS, 2) }]
          : undefined;
      callers.push({
        kind: 'user',
        id,
        name: id,
        groups: [],
        admin: scope !== undefined && pick([true, false]),
        ...(scope && { scope }),
      });
    }
  });
  permissions.invalidate();
  await permissions.refresh();
  return callers;
}

async function configure({ app }: SearchWorld, settings: Readonly<Record<string, object>>): Promise<void> {
  for (const key of ['libs', 'apps', 'other']) {
    await app.core.database.kysely
      .updateTable('repository')
      .set({ config: JSON.stringify(settings[key] ?? {}) })
      .where('key', '=', key)
      .execute();
  }
  await app.core.repositories.reload();
}

/** The check that a download or a listing of this caller would meet. */
async function deciderFor({ app }: SearchWorld, caller: User) {
  const known = new Map<string, boolean>();
  return async (row: ResultRow, query: string): Promise<boolean> => {
    const { repo: key, path, name } = row;
    const repo = app.core.repositories.get(key, caller);
    if (!repo) return false;
    const full = joinPath(path === '.' ? '' : path, name === '.' ? '' : name) as RepoPath;
    if (row['type'] === 'file') {
      if (!repo.allows('read', full)) return false;
      return !isAboutBuilds(query) || mayReadBuild({ app } as SearchWorld, caller, BUILD_OF[name] ?? '');
    }
    // Properties of a folder are known only to those who may read the folder itself.
    if (query.includes('"@') && !repo.allows('read', full)) return false;
    const at = `${key}:${full}`;
    const seen =
      known.get(at) ??
      (await repo.folder(full).then(
        (folder) => folder !== undefined,
        () => false,
      ));
    known.set(at, seen);
    return seen;
  };
}

function isAboutBuilds(query: string): boolean {
  return /"(artifact|dependency)\./.test(query);
}

function mayReadBuild({ app }: SearchWorld, caller: User, document: string): boolean {
  const repo = app.core.repositories.get('artifactory-build-info', caller);
  return repo?.allows('read', document as RepoPath) ?? false;
}

/** The query with what is needed to decide about its rows. */
function listing(query: string, { paged }: { readonly paged: boolean }): string {
  const sort = /\.sort\(\{[^}]*\}\)/.exec(query)?.[0] ?? '';
  const limit = paged ? (/\.limit\(\d+\)/.exec(query)?.[0] ?? '') : '';
  const offset = paged ? (/\.offset\(\d+\)/.exec(query)?.[0] ?? '') : '';
  const plain = query.replace(/\)\.(include|sort|limit|offset|transitive|distinct)\(.*$/s, ')').trim();
  const extra = [...sort.matchAll(/"([a-z.]+)"/g)].map(([, name]) => `,"${name}"`).join('');
  return `${plain}${LISTING}${extra})${sort}${offset}${limit}`;
}

function expectSame(found: readonly ResultRow[], visible: readonly ResultRow[], query: string, message: string): void {
  const limit = Number(/\.limit\((\d+)\)/.exec(query)?.[1] ?? Number.POSITIVE_INFINITY);
  const offset = Number(/\.offset\((\d+)\)/.exec(query)?.[1] ?? 0);
  if (query.includes('.sort(')) {
    assert.deepEqual(found, visible.slice(offset, offset + limit), message);
    return;
  }
  assert.equal(found.length, visible.slice(offset, offset + limit).length, message);
  if (offset === 0 && found.length === visible.length) assert.deepEqual(sorted(found), sorted(visible), message);
}

async function find({ app }: SearchWorld, query: string, caller: User): Promise<ResultRow[]> {
  let text = '';
  const never = new AbortController();
  const answer = await answerAql(app.core.searches, query, { principal: caller, signal: never.signal, compact: true });
  for await (const piece of answer) text += piece;
  return (JSON.parse(text) as { results: ResultRow[] }).results;
}

function sorted(rows: readonly unknown[]): string[] {
  return rows.map((row) => JSON.stringify(row)).sort();
}

/** Numbers in [0, 1) that look random and are the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
