/** A digest is no key: bytes are read only where the caller may read something that holds them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Image, ImageClient, makeImage, sha256, uniqueBytes } from '../../support/oci.ts';
import type { Answer, Caller } from '../../support/test-app.ts';
import { grant, startWorld, type World } from '../../support/wire-world.ts';

const HERE = '/v2/docker-local/here';
const SECRET = '/v2/docker-other/secret';

describe('blobs are seen per image', () => {
  let world: World;
  let image: Image;
  before(async () => {
    world = await startWorld('sqlite-fs', {
      prepare: (core) =>
        grant(
          core,
          'split',
          ['docker-local'],
          [{ kind: 'user', name: 'other', actions: ['read', 'deploy'] }],
          ['open/**'],
        ),
    });
    image = makeImage();
    await new ImageClient(world.admin, SECRET).push('v1', image);
    await new ImageClient(world.admin, HERE).push('v1', makeImage());
  });
  after(() => world.stop());

  const blobs = () => [sha256(image.config), ...image.layers.map(sha256)];
  const mount = (caller: Caller, to: string, digest: string, from?: string): Promise<Answer> =>
    caller.request('POST', `${to}/blobs/uploads/?mount=${digest}${from === undefined ? '' : `&from=${from}`}`);
  /** An answer without what differs between any two. */
  const faceOf = ({ status, headers, text }: Answer, digest: string) => {
    const { date: _, 'x-request-id': __, ...rest } = headers;
    return JSON.stringify([status, rest, text]).replaceAll(digest, '<digest>').replaceAll(digest.slice(7), '<hex>');
  };

  test('a digest that is known from another image or repository is not found here', async () => {
    for (const base of [HERE, '/v2/docker-local/never', '/v2/docker-other/another']) {
      const client = new ImageClient(world.admin, base);
      for (const digest of blobs()) {
        assert.equal(await client.statusOf(`/blobs/${digest}`), 404);
        assert.equal((await client.request('HEAD', `/blobs/${digest}`)).status, 404);
      }
      assert.equal(await client.statusOf(`/manifests/${image.digest}`), 404);
    }
  });

  test('a forbidden digest and one that is nowhere are answered alike', async () => {
    const nowhere = sha256(uniqueBytes());
    for (const caller of [world.as('reader'), world.as('writer'), world.as('outsider'), world.anonymous]) {
      for (const base of [HERE, SECRET]) {
        for (const [method, kind] of [
          ['GET', 'blobs'],
          ['HEAD', 'blobs'],
          ['GET', 'manifests'],
          ['HEAD', 'manifests'],
          ['DELETE', 'blobs'],
          ['DELETE', 'manifests'],
        ] as const) {
          for (const digest of [...blobs(), image.digest]) {
            const known = await caller.request(method, `${base}/${kind}/${digest}`);
            const unknown = await caller.request(method, `${base}/${kind}/${nowhere}`);
            assert.equal(faceOf(known, digest), faceOf(unknown, nowhere), `${method} ${base}/${kind}`);
          }
        }
      }
    }
  });

  test('a manifest cannot take in a blob that its pusher only knows by digest', async () => {
    const stolen = JSON.parse(image.bytes.toString()) as object;
    const answer = await new ImageClient(world.as('writer'), HERE).putManifest(
      'stolen',
      Buffer.from(JSON.stringify(stolen)),
    );
    assert.equal(answer.status, 400);
    for (const digest of blobs())
      assert.equal(await new ImageClient(world.as('writer'), HERE).statusOf(`/blobs/${digest}`), 404);
  });

  test('a blob is mounted by who may read it at its source, with or without naming it', async () => {
    const source = new ImageClient(world.admin, '/v2/docker-other/source');
    const [config, layer] = [await source.pushBlob(uniqueBytes()), await source.pushBlob(uniqueBytes())];
    for (const [digest, from] of [
      [config, 'docker-other/source'],
      [layer, undefined],
    ] as const) {
      const to = `/v2/docker-local/mounted-${from === undefined ? 'found' : 'named'}`;
      const answer = await mount(world.as('owner'), to, digest, from);
      assert.equal(answer.status, 201, answer.text);
      assert.equal(answer.headers.location, `${to}/blobs/${digest}`);
      assert.equal(answer.headers['docker-content-digest'], digest);
      assert.equal((await world.as('owner').request('GET', `${to}/blobs/${digest}`)).status, 200);
    }
  });

  test('a blob is not mounted by who may not read it: a session is started instead', async () => {
    for (const digest of blobs()) {
      for (const from of ['docker-other/secret', undefined]) {
        const answer = await mount(world.as('writer'), HERE, digest, from);
        assert.equal(answer.status, 202);
        assert.match(String(answer.headers.location), /\/blobs\/uploads\//);
        assert.equal((await world.as('writer').request('GET', `${HERE}/blobs/${digest}`)).status, 404);
        assert.equal((await world.as('writer').request('DELETE', String(answer.headers.location))).status, 204);
      }
    }
  });

  test('naming the wrong source mounts nothing, even if the caller may read the right one', async () => {
    const [digest = ''] = blobs();
    for (const from of ['docker-local/here', 'here', 'docker-other/none', 'docker-none/x', 'SECRET']) {
      assert.equal((await mount(world.as('owner'), '/v2/docker-local/wrong', digest, from)).status, 202, from);
    }
  });

  test('mounting needs the right to push to the target', async () => {
    const [digest = ''] = blobs();
    assert.equal((await mount(world.as('reader'), HERE, digest, 'docker-local/here')).status, 403);
    assert.equal((await mount(world.anonymous, HERE, digest, 'docker-other/secret')).status, 401);
  });

  test('rights that end at a folder end for its blobs too', async () => {
    const closed = makeImage();
    await new ImageClient(world.admin, '/v2/docker-local/closed/app').push('v1', closed);
    const mine = new ImageClient(world.as('other'), '/v2/docker-local/open/app');
    await mine.push('v1', makeImage());
    for (const blob of [closed.config, ...closed.layers]) {
      assert.equal(await mine.statusOf(`/blobs/${sha256(blob)}`), 404);
      for (const from of ['docker-local/closed/app', 'closed/app', undefined]) {
        assert.equal((await mount(world.as('other'), '/v2/docker-local/open/app', sha256(blob), from)).status, 202);
      }
    }
    assert.equal(await new ImageClient(world.as('other'), '/v2/docker-local/closed/app').statusOf('/tags/list'), 404);
  });

  test('a blob that is deleted in one image stays in the others', async () => {
    const bytes = uniqueBytes();
    const [one, two] = ['one', 'two'].map(
      (name) => new ImageClient(world.admin, `/v2/docker-local/shared/${name}`),
    ) as [ImageClient, ImageClient];
    for (const client of [one, two]) await client.pushBlob(bytes);
    assert.equal((await one.request('DELETE', `/blobs/${sha256(bytes)}`)).status, 202);
    assert.equal(await one.statusOf(`/blobs/${sha256(bytes)}`), 404);
    assert.equal(await two.statusOf(`/blobs/${sha256(bytes)}`), 200);
  });
});
