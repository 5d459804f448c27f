/** What is being deleted is gone for searches too, from the moment at which it is gone for readers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RepoKey, RepoPath } from '../../../src/core/ids.ts';
import { onEachDatabase } from './search-world.ts';

onEachDatabase('searching what is being deleted', (world) => {
  const names = async (query: string) => (await world().rows(query)).map(({ name }) => name).sort();

  test('a folder, and nothing beside it', async () => {
    const { veils, repositories } = world().app.core;
    const id = repositories.idOf('libs' as RepoKey) ?? 0;
    const query = 'items.find({"repo":"libs","name":{"$match":"*.jar"}})';
    assert.deepEqual(await names(query), ['a1.jar', 'a2.jar', 'o1.jar', 's.jar']);
    veils.add(1, id, 'org/acme/1.0' as RepoPath);
    veils.add(2, id, 'org/acme/1' as RepoPath);
    try {
      assert.deepEqual(await names(query), ['a2.jar', 'o1.jar', 's.jar']);
      assert.deepEqual(await names('items.find({"@license":"GPL-3"})'), []);
      const folders = 'items.find({"repo":"libs","path":"org/acme","type":"folder"})';
      assert.deepEqual(await names(folders), ['1.1', '2.0-SNAPSHOT']);
      const quick = await world().app.admin.request('GET', '/artifactory/api/search/artifact?name=a1.jar');
      assert.deepEqual(quick.json(), { results: [] });
    } finally {
      for (const operation of [1, 2]) veils.remove(operation, id);
    }
    assert.deepEqual(await names(query), ['a1.jar', 'a2.jar', 'o1.jar', 's.jar']);
  });

  test('a folder whose name looks like a pattern, or is very long', async () => {
    const { veils, repositories } = world().app.core;
    const id = repositories.idOf('libs' as RepoKey) ?? 0;
    const query = 'items.find({"repo":"libs","name":{"$match":"*.jar"}})';
    veils.add(4, id, 'org/acme/1.?' as RepoPath);
    veils.add(5, id, 'org/*' as RepoPath);
    veils.add(6, id, Array.from({ length: 100 }, () => 'a-long-name').join('/') as RepoPath);
    try {
      assert.deepEqual(await names(query), ['a1.jar', 'a2.jar', 'o1.jar', 's.jar']);
    } finally {
      for (const operation of [4, 5, 6]) veils.remove(operation, id);
    }
  });

  test('a whole repository', async () => {
    const { veils, repositories } = world().app.core;
    const id = repositories.idOf('apps' as RepoKey) ?? 0;
    veils.add(3, id, '' as RepoPath);
    try {
      assert.deepEqual(await names('items.find({"repo":"apps"})'), []);
    } finally {
      veils.remove(3, id);
    }
    assert.notDeepEqual(await names('items.find({"repo":"apps"})'), []);
  });
});
