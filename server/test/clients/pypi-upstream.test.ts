import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { ServerFacts } from './server-facts.ts';

const WANTED = 'pandas';
const PATIENCE_MS = 20_000;

clientSuite('pip', (client) => {
  const server = new ServerFacts(client.target);
  const key = `py-real-${randomBytes(3).toString('hex')}`;
  const { username, password } = client.target;
  const index = `${server.root}/api/pypi/${key}/simple/`.replace('://', `://${username}:${password}@`);
  let reason: string | undefined;

  /** The index that pip itself uses. */
  before(async () => {
    const { stdout } = await client.run(['-c', 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)']);
    const simple = stdout.trim();
    reason = await fetch(`${simple}/${WANTED}/`, { signal: AbortSignal.timeout(PATIENCE_MS) }).then(
      async (answer) => {
        await answer.body?.cancel();
        return answer.ok ? undefined : `the index that pip uses answers ${answer.status}`;
      },
      () => 'the index that pip uses cannot be reached from here',
    );
    if (reason !== undefined) return;
    const packageType = 'pypi';
    const url = simple.replace(/\/simple\/?$/, '');
    await server.createRepository(`${key}-local`, { packageType });
    await server.createRepository(`${key}-remote`, { packageType, rclass: 'remote', url });
    const repositories = [`${key}-local`, `${key}-remote`];
    await server.createRepository(key, { packageType, rclass: 'virtual', repositories });
  });
  after(() => server.deleteRepositories(key, `${key}-remote`, `${key}-local`));

  for (const state of ['cold', 'warm']) {
    test(`installs ${WANTED} and what it needs from the index that pip uses, ${state}`, async (t) => {
      if (reason !== undefined) {
        t.skip(reason);
        return;
      }
      const target = join(client.folder, state);
      const args = ['-m', 'pip', '--isolated', '--disable-pip-version-check', '--no-cache-dir', 'install', '--quiet'];
      await client.run([...args, '--target', target, '--index-url', index, WANTED], { timeoutMs: 5 * 60_000 });
      const installed = await readdir(target);
      assert.ok(installed.includes(WANTED) && installed.includes('numpy'), installed.join(' '));
      await rm(target, { recursive: true });
    });
  }
});
