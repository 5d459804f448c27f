/** The command that makes repositories of every class. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onEachDatabase } from './installation.ts';

onEachDatabase('entrepot repo', (installation) => {
  test('makes repositories of every class, and refuses what cannot be', async () => {
    const here = installation();
    const create = (...args: string[]) => here.succeed(['repo', 'create', ...args]);
    await here.succeed(['migrate']);
    await create('npm-own', '--type', 'Npm');
    await create('npm-far', '--type', 'npm', '--class', 'remote', '--url', 'https://upstream.example');
    await create('npm', '--type', 'npm', '--class', 'virtual', '--members', 'npm-own, npm-far');
    await create('npm-shared', '--type', 'npm', '--class', 'federated');
    const list = await here.succeed(['repo', 'list']);
    for (const line of [
      /^npm +virtual +npm/m,
      /^npm-far +remote +npm/m,
      /^npm-own +local +npm/m,
      /^npm-shared +federated/m,
    ]) {
      assert.match(list, line);
    }
    await here.fail(['repo', 'create', '1npm', '--type', 'npm']);
    await here.fail(['repo', 'create', 'far', '--type', 'npm', '--class', 'remote']);
    await here.fail(['repo', 'create', 'odd', '--type', 'npm', '--class', 'sideways']);
    await here.fail(['repo', 'create', 'ring', '--type', 'npm', '--class', 'virtual', '--members', 'ring']);
  });
});
