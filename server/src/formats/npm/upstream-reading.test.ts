import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePackument } from './upstream.ts';

const BASE = new URL('https://npm.example/registry/');

async function placeOf(name: string, tarball: string) {
  const versions = { '1.0.0': { name, version: '1.0.0', dist: { tarball } } };
  const doc = await parsePackument(Buffer.from(JSON.stringify({ name, versions })), { name, base: BASE });
  const { path, link } = doc.releases.get('1.0.0') ?? {};
  return { path, link };
}

test('a tarball lies at the path that the upstream has it at, which lock files repeat', async () => {
  const usual = '@s/n/-/n-1.0.0.tgz';
  assert.deepEqual(await placeOf('@s/n', `${BASE.href}${usual}`), { path: usual, link: undefined });
  for (const link of [`https://cdn.example/${usual}`, `https://cdn.example/a/b/${usual}?x=1`]) {
    assert.deepEqual(await placeOf('@s/n', link), { path: usual, link });
  }
});

test('a tarball whose path says nothing of it lies where it belongs', async () => {
  for (const link of ['https://cdn.example/files/abc', 'https://cdn.example/@s/n/-/n-2.0.0.tgz']) {
    assert.deepEqual(await placeOf('@s/n', link), { path: '@s/n/-/@s/n-1.0.0.tgz', link });
  }
});

test('times may stand before or behind the versions, or not at all', async () => {
  const versions = '"versions":{"1.0.0":{"dist":{"tarball":"https://npm.example/registry/n/-/n-1.0.0.tgz"}}}';
  const time = '"time":{"1.0.0":"2024-01-01T00:00:00.000Z"}';
  for (const [members, wanted] of [
    [`${time},${versions}`, '2024-01-01T00:00:00.000Z'],
    [`${versions},${time}`, '2024-01-01T00:00:00.000Z'],
    [versions, undefined],
  ] as const) {
    const doc = await parsePackument(Buffer.from(`{"name":"n",${members}}`), { name: 'n', base: BASE });
    assert.deepEqual([doc.releases.get('1.0.0')?.time, doc.modified], [wanted, wanted]);
  }
});
