import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readEdit } from './edit-document.ts';

test('what is taken from a document is found wherever it stands, and the rest is passed over', async () => {
  const edit = await readEdit(
    Buffer.from(`{"_id":"a","users":{"ann":true},"readme":"\\"versions\\":{}","versions": { "1.0.0" : {"name":"a",
      "scripts":{"deprecated":"no"},"deprecated":"use b","dist":{"x":[1,{"y":2}]}},"1.1.0":{"deprecated":""},
      "1.2.0":{"deprecated":7},"2.0.0":null},"dist-tags":{"latest":"1.0.0"},"maintainers":[{"name":"ann"}],"time":{}}`),
  );
  assert.deepEqual(
    [...edit.versions],
    [
      ['1.0.0', 'use b'],
      ['1.1.0', undefined],
      ['1.2.0', undefined],
      ['2.0.0', undefined],
    ],
  );
  assert.deepEqual(edit.tags, { latest: '1.0.0' });
  assert.deepEqual([edit.maintainers, edit.users], [[{ name: 'ann' }], { ann: true }]);
});

test('what says nothing changes nothing', async () => {
  const nothing = { versions: new Map(), tags: {}, maintainers: undefined, users: undefined };
  assert.deepEqual(await readEdit(Buffer.from('{}')), nothing);
  assert.deepEqual(await readEdit(Buffer.from('{"versions":[],"dist-tags":7}')), nothing);
});

test('what is no JSON object is refused with a sentence', async () => {
  const wrong = [
    '',
    'null',
    '[]',
    '{',
    '{"versions"',
    '{"versions":{"1.0.0":{"deprecated":"x"}}',
    '{"users":{ann:true}}',
  ];
  for (const bytes of [
    ...wrong.map((text) => Buffer.from(text)),
    Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
  ])
    await assert.rejects(readEdit(bytes), { code: 'invalid', message: /cannot be read: it is not a JSON object\.$/ });
});
