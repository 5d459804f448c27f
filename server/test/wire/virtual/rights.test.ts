/** What callers with different rights get through nested virtual repositories, against a model that knows no code of them. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { createUser, SYSTEM } from '../../../src/auth/accounts.ts';
import { putPermissionTarget } from '../../../src/auth/permission-targets.ts';
import { type DocumentKind, documentKind } from '../../../src/core/document.ts';
import { isAppError } from '../../../src/core/errors.ts';
import type { Format } from '../../../src/core/format.ts';
import type { RepoPath } from '../../../src/core/ids.ts';
import type { Principal } from '../../../src/core/principal.ts';
import type { Core } from '../../../src/state.ts';
import { STORAGES, startTestApp, type TestApp } from '../../support/test-app.ts';

const DECISIONS = 10_000;
const SEED = 20_261_122;
const LOCALS = ['l0', 'l1', 'l2', 'l3', 'l4', 'l5'];
const USERS = ['u0', 'u1', 'u2', 'u3', 'u4', 'u5', 'u6', 'u7'];
const TOPS = ['a', 'b', 'c'];
const PACKAGES = TOPS.flatMap((top) => [0, 1, 2].map((i) => `${top}/p${i}`));
const VERSIONS = ['1', '2', '3', '4'];

/** A generator of numbers that is the same at every run, so that a failure can be seen again. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

interface IndexDoc {
  readonly entries: readonly { readonly version: string; readonly path: string; readonly sha256: string }[];
}

/** Lists the versions of a package. */
const INDEX: DocumentKind<IndexDoc> = {
  package: (name) => name,
  path: (name) => `${name}/.index` as RepoPath,
  async build(source, name) {
    const entries: IndexDoc['entries'][number][] = [];
    for await (const { version, path, sha256 } of source.versions(name)) entries.push({ version, path, sha256 });
    return entries.length === 0 ? undefined : { entries };
  },
  merge(docs) {
    const first = new Map<string, IndexDoc['entries'][number]>();
    for (const { entries } of docs)
      for (const entry of entries) if (!first.has(entry.version)) first.set(entry.version, entry);
    return { entries: [...first.values()] };
  },
  render: (doc) => ({ bytes: Buffer.from(JSON.stringify(doc)), mediaType: 'application/json' }),
  filter(doc, accepts) {
    const entries = doc.entries.filter(({ path }) => accepts(path as RepoPath));
    return entries.length === 0 ? undefined : { entries };
  },
};

class Model {
  /** What lies where: by repository, path and digest. */
  readonly files = new Map<string, Map<string, string>>(LOCALS.map((key) => [key, new Map()]));
  readonly priority = new Set<string>();
  readonly members = new Map<string, readonly string[]>();
  readonly excludes = new Map<string, string>();
  /** By user and repository: the tops that may be read. */
  readonly rights = new Map<string, ReadonlySet<string>>();

  /** The local repositories below a virtual one, each with what may pass on the way to it. */
  order(virtual: string): { key: string; passes: (path: string) => boolean }[] {
    const found = new Map<string, (path: string) => boolean>();
    const visit = (key: string, passes: (path: string) => boolean) => {
      const members = this.members.get(key);
      if (!members) {
        if (!found.has(key)) found.set(key, passes);
        return;
      }
      if (seen.has(key)) return;
      seen.add(key);
      const excluded = this.excludes.get(key);
      for (const member of members) {
        visit(member, (path) => passes(path) && (excluded === undefined || !path.startsWith(`${excluded}/`)));
      }
    };
    const seen = new Set<string>();
    visit(virtual, () => true);
    const all = [...found].map(([key, passes]) => ({ key, passes }));
    return [...all.filter(({ key }) => this.priority.has(key)), ...all.filter(({ key }) => !this.priority.has(key))];
  }

  mayRead(user: string, key: string, path: string): boolean {
    return this.rights.get(`${user} ${key}`)?.has(path.split('/')[0] ?? '') ?? false;
  }

  /** What the user sees below a virtual repository, in order. */
  seen(user: string, virtual: string): { key: string; path: string; sha256: string }[] {
    return this.order(virtual).flatMap(({ key, passes }) =>
      [...(this.files.get(key) ?? [])].flatMap(([path, sha256]) =>
        passes(path) && this.mayRead(user, key, path) ? [{ key, path, sha256 }] : [],
      ),
    );
  }
}

for (const storage of STORAGES) {
  describe(`rights through virtual repositories on ${storage}`, () => {
    let app: TestApp;
    const model = new Model();
    const random = numbers(SEED);
    const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
    const principals = new Map<string, Principal>();

    before(async () => {
      app = await startTestApp(storage);
      const { core } = app;
      const format = core.formats.find(({ packageTypes }) => packageTypes.includes('generic'));
      Object.assign(format as Format, { documents: { index: documentKind(INDEX) } });
      await build(core);
    });
    after(() => app?.stop());

    async function build(core: Core): Promise<void> {
      const admin = await core.principals.named('admin');
      for (const key of LOCALS) {
        const priorityResolution = key === 'l4';
        if (priorityResolution) model.priority.add(key);
        const config = { priorityResolution };
        await core.administration.create({ key, rclass: 'local', packageType: 'generic', config }, 'admin');
      }
      const virtuals = ['w0', 'w1', 'w2', 'w3', 'w4', 'w5'];
      for (const [i, key] of virtuals.entries()) {
        const candidates = [...LOCALS, ...virtuals.slice(0, i)].filter(() => random(2) === 0);
        const members = candidates.length === 0 ? ['l0'] : candidates;
        model.members.set(key, members);
        const excluded = random(3) === 0 ? pick(PACKAGES) : undefined;
        if (excluded !== undefined) model.excludes.set(key, excluded);
        const config = {
          repositories: members,
          ...(excluded !== undefined && { excludesPattern: `${excluded}/**` }),
        };
        await core.administration.create({ key, rclass: 'virtual', packageType: 'generic', config }, 'admin');
      }
      await core.repositories.reload();
      for (const key of LOCALS) {
        const repo = core.repositories.get(key, admin);
        assert.ok(repo);
        for (const name of PACKAGES) {
          for (const version of VERSIONS) {
            if (random(2) === 0) continue;
            const path = `${name}/${version}.bin` as RepoPath;
            const landed = await repo.store(path, Readable.from([Buffer.from(`${key} ${path}`)]));
            const release = { package: name, version, metadata: {} };
            await repo.change(path, (tree) =>
              tree.put(
                new Map([[path, { content: landed, mediaType: 'text/plain', package: name, version: release }]]),
              ),
            );
            model.files.get(key)?.set(path, landed.sha256);
          }
        }
      }
      for (const name of USERS) {
        await createUser(core.accounts, { name }, SYSTEM);
        for (const key of LOCALS) {
          const tops = TOPS.filter(() => random(3) === 0);
          // Some may read all of it, which is another way through the code than reading much of it.
          const all = random(4) === 0;
          if (!all && tops.length === 0) continue;
          model.rights.set(`${name} ${key}`, new Set(all ? TOPS : tops));
          const includes = all ? ['**'] : tops.map((top) => `${top}/**`);
          const grants = [{ kind: 'user' as const, name, actions: ['read' as const] }];
          const target = { name: `${name}-${key}`, repositories: [key], includes, excludes: [], grants };
          await putPermissionTarget(core.accounts, target, SYSTEM);
        }
      }
      core.permissions.invalidate();
      await core.permissions.refresh();
      for (const name of USERS) principals.set(name, await core.principals.named(name));
    }

    /** What is answered, or nothing where it is refused. */
    async function answered<T>(work: () => Promise<T | undefined>): Promise<T | undefined> {
      try {
        return await work();
      } catch (error) {
        if (isAppError(error) && ['not_found', 'forbidden'].includes(error.code)) return undefined;
        throw error;
      }
    }

    test(`${DECISIONS} decisions about files, listings and documents are those of the model`, async () => {
      const virtuals = [...model.members.keys()];
      const paths = PACKAGES.flatMap((name) => VERSIONS.map((version) => `${name}/${version}.bin`));
      const contents = new Map<string, string>();
      const counts = { given: 0, shared: 0 };
      for (let i = 0; i < DECISIONS; i++) {
        const [user, virtual] = [pick(USERS), pick(virtuals)];
        const what = `decision ${i}: ${user} in ${virtual}`;
        const repo = app.core.repositories.get(virtual, principals.get(user) as Principal);
        const seen = model.seen(user, virtual);
        if (!repo) {
          assert.deepEqual(seen, [], what);
          continue;
        }
        const kind = random(10);
        if (kind < 6) {
          const path = pick(paths);
          const expected = seen.find((file) => file.path === path);
          const asset = await answered(() =>
            kind < 3 ? repo.get(path as RepoPath) : repo.serve({ path: path as RepoPath }, 'bytes'),
          );
          assert.equal(asset?.sha256, expected?.sha256, `${what}, ${path}`);
          assert.equal(asset?.repo, expected?.key, `${what}, ${path}`);
          if (asset) counts.given += 1;
        } else if (kind < 8) {
          const folder = pick(['', ...TOPS, ...PACKAGES]);
          const start = folder === '' ? '' : `${folder}/`;
          const inside = seen.filter(({ path }) => path.startsWith(start)).map(({ path }) => path.slice(start.length));
          const expected = [...new Set(inside.map((path) => path.split('/')[0]))].sort();
          const entries = (await answered(() => repo.children(folder as RepoPath, { limit: 100 }))) ?? [];
          // A folder that may hold something readable is shown, whether it does or not.
          const names = entries
            .filter((entry) => !entry.folder || expected.includes(entry.name))
            .map(({ name }) => name);
          assert.deepEqual(names, expected, `${what}, children of "${folder}"`);
        } else {
          const name = pick(PACKAGES);
          const priority = seen.some(({ key, path }) => model.priority.has(key) && path.startsWith(`${name}/`));
          const first = new Map<string, string>();
          for (const { key, path, sha256 } of seen) {
            if (!path.startsWith(`${name}/`) || (priority && !model.priority.has(key)) || first.has(path)) continue;
            first.set(path, sha256);
          }
          const held = await answered(() => repo.document('index', name));
          const doc = (await held?.read()) as unknown as IndexDoc | undefined;
          const given = new Map(doc?.entries.map(({ path, sha256 }) => [path, sha256]));
          assert.deepEqual([...given].sort(), [...first].sort(), `${what}, document of ${name}`);
          if (doc) counts.given += 1;
          if (held?.revision !== undefined) {
            const text = JSON.stringify(doc);
            const known = contents.get(held.revision);
            assert.equal(known ?? text, text, `${what}: two contents under one revision`);
            if (known !== undefined) counts.shared += 1;
            contents.set(held.revision, text);
          }
        }
      }
      // The model must have had something to say.
      assert.ok(counts.given > DECISIONS / 10, `only ${counts.given} were given`);
      assert.ok(counts.shared > 10, `only ${counts.shared} documents had a revision that was seen before`);
    });
  });
}
