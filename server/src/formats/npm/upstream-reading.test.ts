import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePackument } from './upstream-reading.ts';

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

const many = (count: number) => {
  const versions: Record<string, object> = {};
  const time: Record<string, string> = {};
  for (let i = 0; i < count; i++) {
    versions[`1.0.${i}`] = {
      description: `the ${i}th of many, “as one says”`,
      dependencies: { other: `^1.${i}.0` },
      ...(i % 3 === 0 && { deprecated: 'use another' }),
      dist: { tarball: `${BASE.href}n/-/n-1.0.${i}.tgz`, integrity: `sha512-${i}`, unpackedSize: i },
    };
    time[`1.0.${i}`] = new Date(i * 1000).toISOString();
  }
  return { name: 'n', 'dist-tags': { latest: '1.0.1', gone: '9.9.9' }, versions, time, readme: 'words' };
};

test('a large document reads as a small one does', async () => {
  const read = async (count: number) => {
    const bytes = Buffer.from(JSON.stringify(many(count)));
    return { bytes, doc: await parsePackument(bytes, { name: 'n', base: BASE }) };
  };
  const [small, large] = [await read(20), await read(3000)];
  assert.ok(small.bytes.length < 16 * 1024 && large.bytes.length > 512 * 1024);
  assert.equal(large.doc.releases.size, 3000);
  for (const [version, release] of small.doc.releases) {
    const other = large.doc.releases.get(version);
    for (const key of ['path', 'time', 'deprecated', 'integrity', 'full', 'short', 'dist'] as const) {
      assert.equal(other?.[key], release[key], `${key} of ${version}`);
    }
  }
  assert.equal(large.doc.modified, new Date(2999 * 1000).toISOString());
  const last = large.doc.releases.get('1.0.2999');
  assert.deepEqual(JSON.parse(`{${last?.full}}`), {
    description: 'the 2999th of many, “as one says”',
    dependencies: { other: '^1.2999.0' },
    name: 'n',
    version: '1.0.2999',
  });
  const rest = { releases: undefined, modified: undefined, rev: undefined };
  assert.deepEqual({ ...large.doc, ...rest }, { ...small.doc, ...rest });
});

test('a large document that is damaged, or another one, is refused as a small one is', async () => {
  for (const count of [20, 3000]) {
    const whole = JSON.stringify(many(count));
    const refused = (text: string, message: string) =>
      assert.rejects(parsePackument(Buffer.from(text), { name: 'n', base: BASE }), { code: 'invalid', message });
    await refused(whole.slice(0, -9), 'The document of "n" is not a JSON object.');
    await refused(whole.replace('"other"', 'other'), 'The document of "n" is not a JSON object.');
    await refused(whole.replace('"name":"n"', '"name":"m"'), 'The document of "n" is that of another package.');
    await refused(whole.replaceAll('tarball', 'tar'), 'The document of "n" names no version.');
  }
});
