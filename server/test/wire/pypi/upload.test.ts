/** Uploads: what twine and its like send, and what they are told. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fieldsOf, formOf, pathOf, readProject, sdistOf, sha256, upload, wheelOf } from '../../formats/pypi-samples.ts';
import { eventually } from '../../support/eventually.ts';
import { requireNothingLeft } from '../../support/hostile.ts';
import { openRaw } from '../../support/raw-http.ts';
import { STORAGES } from '../../support/test-app.ts';
import { countStored, type World } from '../../support/wire-world.ts';
import { LOCAL, startPypi } from './pypi-world.ts';

const ADDRESS = `/artifactory/api/pypi/${LOCAL}`;

for (const storage of STORAGES) {
  describe(`uploads on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startPypi(storage);
    });
    after(() => world.stop());

    test('are kept where plain paths find them, with properties', async () => {
      const wheel = await wheelOf({ name: 'Where.It_Lies', version: '1.0', requiresPython: '>=3.8' });
      assert.equal((await upload(world.as('writer'), LOCAL, wheel)).status, 200);
      const path = `/artifactory/${LOCAL}/where-it-lies/1.0/${wheel.filename}`;
      assert.deepEqual((await world.as('reader').request('GET', path)).bytes, wheel.bytes);
      const storageOf = `/artifactory/api/storage/${LOCAL}/where-it-lies/1.0/${wheel.filename}?properties`;
      const { properties } = (await world.admin.request('GET', storageOf)).json() as { properties: object };
      assert.deepEqual(properties, {
        'pypi.name': ['Where.It_Lies'],
        'pypi.normalized.name': ['where-it-lies'],
        'pypi.version': ['1.0'],
        'pypi.summary': ['A sample'],
        'pypi.requires.python': ['>=3.8'],
      });
    });

    test('are taken with and without a slash, and with the few fields that some clients send', async () => {
      for (const [i, address] of [ADDRESS, `${ADDRESS}/`, `${ADDRESS}/legacy/`].entries()) {
        const sample = await sdistOf({ name: 'addresses', version: `1.${i}` });
        const parts = fieldsOf(sample).filter(([name]) => [':action', 'name', 'version', 'content'].includes(name));
        const answer = await world.as('writer').request('POST', address, formOf(parts));
        assert.equal(answer.status, 200, answer.text);
      }
      assert.deepEqual((await readProject(world.admin, LOCAL, 'addresses')).versions, ['1.0', '1.1', '1.2']);
    });

    test('of the same bytes once more are no change, of others are refused in words that clients look for', async () => {
      const [first, second] = [await wheelOf({ name: 'again' }), await wheelOf({ name: 'again', value: 'other' })];
      assert.equal((await upload(world.as('writer'), LOCAL, first)).status, 200);
      const before = await countStored(world);
      assert.equal((await upload(world.as('writer'), LOCAL, first)).status, 200);
      const refused = await upload(world.as('writer'), LOCAL, second);
      assert.equal(refused.status, 403);
      assert.match(refused.text, /overwrite artifact 'py-local:again\/1\.0\.0\/again-1\.0\.0-py3-none-any\.whl'/);
      assert.deepEqual((await countStored(world)).counts, before.counts);
      assert.equal((await upload(world.as('owner'), LOCAL, second)).status, 200);
      const [file] = (await readProject(world.admin, LOCAL, 'again')).files;
      assert.equal(file?.hashes['sha256'], sha256(second.bytes));
    });

    test('of the same file in another spelling are refused', async () => {
      const sample = await sdistOf({ name: 'foo-spelled', version: '1.0' });
      assert.equal((await upload(world.as('writer'), LOCAL, sample)).status, 200);
      const other = await sdistOf({ name: 'Foo.Spelled', version: '1.0', value: 'other' });
      const answer = await upload(world.as('writer'), LOCAL, { ...other, filename: 'Foo.Spelled-1.0.tar.gz' });
      assert.deepEqual([answer.status, /already exists/.test(answer.text)], [409, true]);
    });

    test('need the right to deploy, and credentials where there are none', async () => {
      const sample = await wheelOf({ name: 'rights' });
      for (const address of [ADDRESS, `${ADDRESS}/`]) {
        const form = formOf(fieldsOf(sample));
        const anonymous = await world.anonymous.request('POST', address, form);
        assert.equal(anonymous.status, 401);
        assert.match(String(anonymous.headers['www-authenticate']), /^Basic realm=/);
        const reader = await world.as('reader').request('POST', address, form);
        assert.equal(reader.status, 403, reader.text);
        assert.match(String(reader.headers['content-type']), /^text\/plain/);
        assert.equal((await world.as('outsider').request('POST', address, form)).status, 404);
      }
    });

    test('keep signatures and attestations, and serve them', async () => {
      const sample = await wheelOf({ name: 'attested', version: '1.0' });
      const statement = { subject: [{ name: sample.filename, digest: { sha256: sha256(sample.bytes) } }] };
      const attestation = {
        version: 1,
        verification_material: { certificate: 'AAAA', transparency_entries: [] },
        envelope: { statement: Buffer.from(JSON.stringify(statement)).toString('base64'), signature: 'AAAA' },
      };
      const fields = fieldsOf(sample, { attestations: JSON.stringify([attestation]) });
      const parts = [
        ...fields.slice(0, -1),
        ['gpg_signature', 'signed', `${sample.filename}.asc`] as const,
        fields.at(-1)!,
      ];
      const answer = await world.as('writer').request('POST', ADDRESS, formOf(parts));
      assert.equal(answer.status, 200, answer.text);
      const [file] = (await readProject(world.as('reader'), LOCAL, 'attested')).files;
      const address = new URL(file?.provenance ?? '').pathname;
      const provenance = await world.as('reader').request('GET', address);
      assert.equal(provenance.headers['content-type'], 'application/vnd.pypi.integrity.v1+json');
      assert.deepEqual(provenance.json(), {
        version: 1,
        attestation_bundles: [{ publisher: { kind: 'Unknown' }, attestations: [attestation] }],
      });
      const path = pathOf(LOCAL, 'attested', file!.url);
      assert.equal((await world.as('reader').request('GET', `${path}.asc`)).text, 'signed');
      const other = JSON.stringify([{ ...attestation, envelope: { ...attestation.envelope, statement: 'e30=' } }]);
      const wrong = await upload(world.as('writer'), LOCAL, await wheelOf({ name: 'wrong' }), { attestations: other });
      assert.deepEqual([wrong.status, /attestations of .* are not valid/.test(wrong.text)], [400, true]);
    });

    test('from many at once are all in the index', async () => {
      const versions = Array.from({ length: 20 }, (_, i) => `1.${i}`);
      const answers = await Promise.all(
        versions.map(async (version) => {
          const answer = await upload(world.as('writer'), LOCAL, await wheelOf({ name: 'crowd', version }));
          const seen = (await readProject(world.as('writer'), LOCAL, 'crowd')).versions;
          return { status: answer.status, seen: seen.includes(version) };
        }),
      );
      assert.deepEqual(new Set(answers.map(({ status, seen }) => `${status} ${seen}`)), new Set(['200 true']));
      assert.deepEqual((await readProject(world.admin, LOCAL, 'crowd')).versions, versions);
    });

    test('leave nothing behind when the client goes away', async () => {
      const sample = await wheelOf({ name: 'gone', extra: { 'gone/large.bin': Buffer.alloc(3_000_000, 5) } });
      const { body, headers } = formOf(
        fieldsOf({ ...sample, bytes: Buffer.concat([sample.bytes, Buffer.alloc(4_000_000)]) }),
      );
      const before = await countStored(world);
      const connection = await openRaw(world.app.port);
      connection.send(
        `POST ${ADDRESS}/ HTTP/1.1\r\nHost: x\r\nAuthorization: ${world.as('writer').authorization}\r\nContent-Type: ${headers['content-type']}\r\nContent-Length: ${body.length}\r\n\r\n`,
      );
      connection.socket.write(body.subarray(0, 2_000_000));
      await eventually(async () => assert.equal(connection.socket.writableLength, 0));
      connection.socket.destroy();
      await requireNothingLeft(world, before, 'an upload that was cut off');
    });
  });
}
