/** The folder of the tag `app:web` holds the image `app/web`: what is done to the one leaves the other alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { type Image, ImageClient, makeImage } from '../../support/oci.ts';
import { expectStatus, getJson, onEachStorage, sendJson } from '../api/api-world.ts';

const ALL = '/artifactory/api/repositories';

onEachStorage('an image below a tag', (world) => {
  const admin = () => world().app.admin;
  async function begin(key: string, settings: object = {}) {
    const body = { rclass: 'local', packageType: 'docker', ...settings };
    await expectStatus(sendJson(admin(), 'PUT', `${ALL}/${key}`, body), 200);
    const above = new ImageClient(admin(), `/v2/${key}/app`);
    const below = new ImageClient(admin(), `/v2/${key}/app/web`);
    const [tagged, kept] = [makeImage(), makeImage()];
    await above.push('web', tagged);
    await below.push('1', kept);
    return { above, below, tagged, kept, requireKept: () => requireWhole(key, below, kept) };
  }
  async function requireWhole(key: string, client: ImageClient, image: Image): Promise<void> {
    assert.equal(await client.statusOf('/manifests/1'), 200);
    assert.equal(await client.statusOf(`/manifests/${image.digest}`), 200);
    const { children } = (await getJson(admin(), `/artifactory/api/storage/${key}/app/web/1`)) as {
      children: { uri: string }[];
    };
    assert.equal(children.length, 1 + 1 + image.layers.length);
  }

  test('stays where it is when the tag is deleted, and the tag stays readable by its digest', async () => {
    const { above, tagged, requireKept } = await begin('nested-tag');
    assert.equal((await above.request('DELETE', '/manifests/web')).status, 202);
    assert.equal(await above.statusOf('/manifests/web'), 404);
    assert.equal(await above.statusOf(`/manifests/${tagged.digest}`), 200);
    await requireKept();
  });

  test('stays where it is when the tag is pushed again', async () => {
    const { above, tagged, requireKept } = await begin('nested-push');
    const newer = makeImage();
    await above.push('web', newer);
    assert.equal((await above.request('GET', '/manifests/web')).text, newer.bytes.toString());
    assert.equal(await above.statusOf(`/manifests/${tagged.digest}`), 200);
    await requireKept();
  });

  test('stays when the manifest of the tag is deleted by its digest', async () => {
    const { above, tagged, requireKept } = await begin('nested-digest');
    assert.equal((await above.request('DELETE', `/manifests/${tagged.digest}`)).status, 202);
    assert.equal(await above.statusOf(`/manifests/${tagged.digest}`), 404);
    await requireKept();
  });

  test('stays when the tag is one too many', async () => {
    const { above, requireKept } = await begin('nested-old', { maxUniqueTags: 1 });
    await above.push('newer', makeImage());
    await eventually(async () => assert.equal(await above.statusOf('/manifests/web'), 404));
    await requireKept();
  });

  for (const copy of [true, false]) {
    test(`stays when the tag is promoted, ${copy ? 'as a copy' : 'away'}`, async () => {
      const key = `nested-promoted-${copy ? 'copy' : 'away'}`;
      const { above, tagged, requireKept } = await begin(key);
      const promotion = { targetRepo: key, dockerRepository: 'app', tag: 'web', targetTag: 'site', copy };
      await expectStatus(sendJson(admin(), 'POST', `/artifactory/api/docker/${key}/v2/promote`, promotion), 200);
      assert.equal((await above.request('GET', '/manifests/site')).text, tagged.bytes.toString());
      assert.equal(await above.statusOf('/manifests/web'), copy ? 200 : 404);
      await requireKept();
    });
  }

  test('stays when another tag is promoted over the one above it, even its own', async () => {
    const { above, requireKept, kept } = await begin('nested-over');
    const other = makeImage();
    await above.push('other', other);
    const promote = (body: object) =>
      expectStatus(
        sendJson(admin(), 'POST', '/artifactory/api/docker/nested-over/v2/promote', {
          targetRepo: 'nested-over',
          targetDockerRepository: 'app',
          targetTag: 'web',
          copy: true,
          ...body,
        }),
        200,
      );
    await promote({ dockerRepository: 'app', tag: 'other' });
    assert.equal((await above.request('GET', '/manifests/web')).text, other.bytes.toString());
    await requireKept();
    await promote({ dockerRepository: 'app/web', tag: '1' });
    assert.equal((await above.request('GET', '/manifests/web')).text, kept.bytes.toString());
    await requireKept();
  });
});
