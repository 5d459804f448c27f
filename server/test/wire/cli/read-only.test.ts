/** The command that has nothing written, beside a running server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { ADMIN_PASSWORD, onEachDatabase } from './installation.ts';

const NOTICED_MS = 2000;
const user = ['admin', ADMIN_PASSWORD] as const;

onEachDatabase('entrepot readonly', (installation) => {
  test('switches a server that runs, and a single repository, and tells why', async () => {
    const here = installation();
    const server = await here.serve();
    const put = (path: string) => server.status(`/artifactory/${path}`, { user, method: 'PUT', body: 'a' });
    try {
      await eventually(async () => assert.equal(await put('generic-local/a'), 201), NOTICED_MS);
      await here.succeed(['readonly', 'on', '--reason', 'The disk is being moved']);
      await eventually(async () => assert.equal(await put('generic-local/b'), 503), NOTICED_MS);
      assert.match(
        await here.succeed(['readonly', 'status']),
        /^\(server\) +The disk is being moved\. +\S+ +_system_$/m,
      );
      assert.match(await here.succeed(['readonly', 'off']), /takes writes again/);
      await eventually(async () => assert.equal(await put('generic-local/b'), 201), NOTICED_MS);
      assert.match(await here.succeed(['readonly', 'off']), /was not read-only/);
      await here.succeed(['readonly', 'on', '--repo', 'generic-local', '--reason', 'Superseded.']);
      await eventually(async () => assert.equal(await put('generic-local/c'), 503), NOTICED_MS);
      await here.succeed(['readonly', 'off', '--repo', 'generic-local']);
      await eventually(async () => assert.equal(await put('generic-local/c'), 201), NOTICED_MS);
      await here.fail(['readonly', 'on']);
      await here.fail(['readonly', 'on', '--reason', ' ']);
      await here.fail(['readonly', 'on', '--repo', 'nowhere', '--reason', 'x']);
    } finally {
      await server.stop();
    }
  });
});
