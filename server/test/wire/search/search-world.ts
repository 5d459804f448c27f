/** A server whose database holds a small, known world, and short ways to ask about it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe } from 'node:test';
import type { Database } from '../../../src/db/database.ts';
import { type Caller, type Storage, startTestApp, type TestApp } from '../../support/test-app.ts';

export const DAY = 86_400_000;
export const SEARCH_STORAGES: readonly Storage[] = ['sqlite-fs', 'postgres-fs'];

/** Repository, folder and name; sizes are 10, 20, 30 …, and each was made a day after the one before. */
export const FILES = [
  'libs:./root.txt',
  'libs:org/acme/1.0/a1.jar',
  'libs:org/acme/1.0/a1.pom',
  'libs:org/acme/1.1/a2.jar',
  'libs:org/acme/2.0-SNAPSHOT/s.jar',
  'libs:org/other/1.0/o1.jar',
  'libs:we[ird/w%_.txt',
  'apps:./App.zip',
  'apps:img/tag/manifest.json',
  'apps:img/_uploads/up.bin',
  'apps:models/x/v1/m1.bin',
  'apps:models/x/v2/m2.bin',
  'apps:a/b/README.md',
  'apps:ü/é.txt',
  'other:./secret.txt',
  'other:d/e/f/deep.txt',
] as const;

export const hex = (algorithm: 'sha1' | 'md5' | 'sha256', name: string) =>
  createHash(algorithm).update(name).digest('hex');

const PROPERTIES: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'a1.jar': { 'build.name': ['b'], 'build.number': ['7'], license: ['GPL-3'], env: ['test'] },
  'a2.jar': { 'build.name': ['b'], 'build.number': ['8'], license: ['GPL', 'MIT'] },
  'o1.jar': { license: ['Apache'], note: ["100%_x'; DROP TABLE node; --"] },
  'manifest.json': {
    sha256: [hex('sha256', 'manifest.json')],
    'docker.manifest.digest': [`sha256:${hex('sha256', 'manifest.json')}`],
  },
  'm1.bin': { version: ['1'] },
  'm2.bin': { version: ['2'] },
  acme: { team: ['x'] },
};

const ENTRIES: Readonly<Record<string, readonly (readonly [path: string, name: string])[]>> = {
  'a1.jar': [
    ['META-INF', 'MANIFEST.MF'],
    ['org/acme', 'Logger.class'],
  ],
  'a2.jar': [
    ['META-INF', 'MANIFEST.MF'],
    ['', 'root.properties'],
  ],
};

/** Where the document of a build lies. */
export function buildDocument(name: string, number: string, started: string): readonly [folder: string, name: string] {
  return [name.replaceAll('/', '%2F'), `${number}-${Date.parse(started)}.json`];
}

export interface SearchWorld {
  readonly app: TestApp;
  /** Starts a query and gives its rows. */
  rows(query: string, caller?: Caller): Promise<Record<string, unknown>[]>;
  status(query: string, caller?: Caller): Promise<number>;
}

/** Runs the tests once on each database. */
export function onEachDatabase(
  what: string,
  tests: (world: () => SearchWorld) => void,
  env: Readonly<Record<string, string>> = {},
): void {
  for (const storage of SEARCH_STORAGES) {
    describe(`${what} on ${storage}`, () => {
      let world: SearchWorld;
      before(async () => {
        world = await makeWorld(storage, env);
      });
      after(() => world?.app.stop());
      tests(() => world);
    });
  }
}

async function makeWorld(storage: Storage, env: Readonly<Record<string, string>>): Promise<SearchWorld> {
  const app = await startTestApp(storage, { ENTREPOT_BOOTSTRAP: 'none', ...env });
  const database = await app.openDatabase();
  await fill(database);
  await database.close();
  await app.core.repositories.reload();
  const send = (query: string, caller: Caller = app.admin) =>
    caller.request('POST', '/artifactory/api/search/aql', { headers: { 'content-type': 'text/plain' }, body: query });
  return {
    app,
    async rows(query, caller) {
      const answer = await send(query, caller);
      assert.equal(answer.status, 200, `${query}: ${answer.text}`);
      return (answer.json() as { results: Record<string, unknown>[] }).results;
    },
    status: async (query, caller) => (await send(query, caller)).status,
  };
}

async function fill(database: Database): Promise<void> {
  await database.transaction(async (tx) => {
    const repoIds = new Map<string, number>();
    const repository = async (key: string, rclass: string, config: object = {}) => {
      const row = await tx
        .insertInto('repository')
        .values({ key, rclass, package_type: 'generic', config: JSON.stringify(config), created_at: 1, updated_at: 1 })
        .returning('id')
        .executeTakeFirstOrThrow();
      repoIds.set(key, row.id);
    };
    await repository('libs', 'local', { repoLayoutRef: 'maven-2-default' });
    await repository('apps', 'local');
    await repository('other', 'local');
    await repository('both', 'virtual', { repositories: ['libs', 'apps'] });
    const nodeIds = new Map<string, number>();
    const node = async (key: string, parent: string, name: string, values: object) => {
      const row = await tx
        .insertInto('node')
        .values({
          repo_id: repoIds.get(key)!,
          parent,
          name,
          folder: 1,
          sha256: null,
          size: 0,
          media_type: null,
          package: null,
          etag: null,
          created_at: Date.parse('2023-01-01'),
          created_by: 'maker',
          modified_at: Date.parse('2023-01-01'),
          modified_by: 'maker',
          ...values,
        })
        .returning('id')
        .executeTakeFirstOrThrow();
      nodeIds.set(name, row.id);
    };
    const folders = new Set<string>();
    for (const [i, file] of FILES.entries()) {
      const [key = '', path = ''] = file.split(':');
      const parts = path.split('/').filter((part) => part !== '.');
      const name = parts.pop()!;
      for (let n = 1; n <= parts.length; n++) {
        const folder = `${key}:${parts.slice(0, n).join('/')}`;
        if (folders.has(folder)) continue;
        folders.add(folder);
        await node(key, parts.slice(0, n - 1).join('/'), parts[n - 1]!, {});
      }
      const sha256 = hex('sha256', name);
      await tx
        .insertInto('blob')
        .values({
          sha256,
          sha1: hex('sha1', name),
          md5: hex('md5', name),
          size: 10,
          store_key: `fixture-${i}`,
          created_at: 1,
        })
        .execute();
      const by = key === 'libs' ? 'ann' : key === 'apps' ? 'bob' : 'admin';
      await node(key, parts.join('/'), name, {
        folder: 0,
        sha256,
        size: (i + 1) * 10,
        created_at: Date.parse('2024-01-01') + i * DAY,
        created_by: by,
        modified_at: Date.parse('2024-07-01') + i * DAY,
        modified_by: by,
        ...(name === 'a1.jar' && { original_sha1: hex('sha1', name), original_md5: hex('md5', name) }),
      });
    }
    for (const [name, properties] of Object.entries(PROPERTIES)) {
      for (const [key, values] of Object.entries(properties)) {
        for (const value of values) {
          await tx
            .insertInto('property')
            .values({ node_id: nodeIds.get(name)!, key, value })
            .execute();
        }
      }
    }
    const stat = (name: string, downloads: number, at: number | null, by: string | null) =>
      tx
        .insertInto('statistic')
        .values({
          node_id: nodeIds.get(name)!,
          downloads,
          downloaded_at: at,
          downloaded_by: by,
          remote_downloads: 0,
          remote_downloaded_at: null,
          remote_downloaded_by: null,
        })
        .execute();
    await stat('a1.jar', 5, Date.parse('2024-06-01'), 'ann');
    await stat('a2.jar', 0, null, null);
    await stat('App.zip', 50, Date.now() - 10 * DAY, 'bob');
    for (const [name, entries] of Object.entries(ENTRIES)) {
      const sha256 = hex('sha256', name);
      await tx.insertInto('archive').values({ sha256, indexed_at: 1, problem: null }).execute();
      for (const [path, entry] of entries) {
        await tx.insertInto('archive_entry').values({ sha256, path, name: entry }).execute();
      }
    }
    const buildRepo = await tx
      .selectFrom('repository')
      .select('id')
      .where('key', '=', 'artifactory-build-info')
      .executeTakeFirstOrThrow();
    repoIds.set('artifactory-build-info', buildRepo.id);
    const build = async (name: string, number: string, started: string, promoted: boolean) => {
      const [folder, document] = buildDocument(name, number, started);
      // As a folder it stays out of the answers to queries for files; who may read it is decided by its path alone.
      await node('artifactory-build-info', folder, document, {});
      const row = await tx
        .insertInto('build')
        .values({
          repo_id: buildRepo.id,
          node_id: nodeIds.get(document)!,
          name,
          number,
          started_at: Date.parse(started),
          url: name === 'b' ? `http://ci/${number}` : null,
          promoted: promoted ? 1 : 0,
          created_at: Date.parse(started),
          created_by: 'ci',
          modified_at: Date.parse(started),
          modified_by: 'ci',
        })
        .returning('id')
        .executeTakeFirstOrThrow();
      return row.id;
    };
    const module = async (buildId: number, name: string) => {
      const row = await tx
        .insertInto('build_module')
        .values({ build_id: buildId, name, type: null })
        .returning('id')
        .executeTakeFirstOrThrow();
      return row.id;
    };
    const artifact = (moduleId: number, name: string, by: 'sha1' | 'sha256') =>
      tx
        .insertInto('build_artifact')
        .values({
          module_id: moduleId,
          name,
          type: 'jar',
          path: null,
          repo: null,
          sha1: hex('sha1', name),
          md5: hex('md5', name),
          sha256: by === 'sha256' ? hex('sha256', name) : null,
        })
        .execute();
    const b7 = await build('b', '7', '2024-02-01', true);
    const b8 = await build('b', '8', '2024-03-01', false);
    const c1 = await build('team/c', '1', '2024-04-01', false);
    await tx.insertInto('build_property').values({ build_id: b7, key: 'os', value: 'linux' }).execute();
    await tx.insertInto('build_property').values({ build_id: b8, key: 'os', value: 'mac' }).execute();
    await tx
      .insertInto('build_promotion')
      .values({
        build_id: b7,
        status: 'released',
        repo: 'libs',
        comment: 'ship',
        ci_user: 'ci',
        created_at: Date.parse('2024-02-02'),
        created_by: 'ann',
      })
      .execute();
    const m7 = await module(b7, 'org.acme:a:1.0');
    const m8 = await module(b8, 'org.acme:a:1.1');
    const mc = await module(c1, 'c:main');
    await tx.insertInto('build_module_property').values({ module_id: m7, key: 'color', value: 'red' }).execute();
    await artifact(m7, 'a1.jar', 'sha1');
    await artifact(m7, 'a1.pom', 'sha1');
    await artifact(m8, 'a2.jar', 'sha256');
    await artifact(mc, 'App.zip', 'sha1');
    await tx
      .insertInto('build_dependency')
      .values({
        module_id: m7,
        name: 'o1.jar',
        type: 'jar',
        scopes: '["compile","test"]',
        sha1: hex('sha1', 'o1.jar'),
        md5: null,
        sha256: null,
      })
      .execute();
  });
}
