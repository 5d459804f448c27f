/** Checksum files: what those who put files say of them, and what becomes of a file of which they say something wrong. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { hash } from '../../formats/maven-samples.ts';
import { plainFilesOf } from '../../support/plain-files.ts';
import { STORAGES } from '../../support/test-app.ts';
import { grant, startWorld, type World } from '../../support/wire-world.ts';

for (const storage of STORAGES) {
  describe(`checksum files of Maven on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage, {
        prepare: async (core) => {
          const trusting = { checksumPolicyType: 'server-generated-checksums' };
          for (const [key, config] of Object.entries({ libs: {}, trusting })) {
            await core.administration.create({ key, rclass: 'local', packageType: 'maven', config }, '_system_');
          }
          const config = { repositories: ['libs'] };
          await core.administration.create({ key: 'all', rclass: 'virtual', packageType: 'maven', config }, '_system_');
          const writer = [{ kind: 'user' as const, name: 'writer', actions: ['read' as const, 'deploy' as const] }];
          await grant(core, 'deploys', ['libs'], writer);
        },
      });
    });
    after(() => world.stop());

    const send = (method: string, path: string, body?: string) =>
      world.admin.request(method, path, { ...(body !== undefined && { body }) });
    const { put, get } = plainFilesOf(() => world.admin);

    test('checksum files are verified by the policy of the repository', async () => {
      await put('libs/org/sum/1/sum-1.jar', 'sum');
      for (const algorithm of ['sha512', 'sha256', 'sha1', 'md5']) {
        const path = `libs/org/sum/1/sum-1.jar.${algorithm}`;
        // What clients may still put is not there before, unless nobody would compare it with what is.
        const isMade = algorithm.length > 4;
        assert.equal((await send('HEAD', `/artifactory/${path}`)).status, isMade ? 200 : 404);
        const wrong = await put(path, hash(algorithm, 'other'), 409);
        assert.match(wrong.text, /Checksum error/);
        await put(path, `${hash(algorithm, 'sum').toUpperCase()}  sum-1.jar\n`);
        assert.equal(await get(path), hash(algorithm, 'sum'));
        await put(`libs/org/sum/1/sum-2.jar.${algorithm}`, hash(algorithm, 'sum'), 404);
      }
      await put('trusting/org/sum/1/sum-1.jar', 'sum');
      await put('trusting/org/sum/1/sum-1.jar.sha1', hash('sha1', 'other'));
      assert.equal(await get('trusting/org/sum/1/sum-1.jar.sha1'), hash('sha1', 'sum'));
    });

    test('a file whose checksum file says another is not given until one of them is put right', async () => {
      const path = 'libs/org/dispute/1/dispute-1.jar';
      await put(path, 'right');
      await put(`${path}.sha1`, hash('sha1', 'other'), 409);
      for (const read of [path, path.replace('libs', 'all'), `${path}.sha1`, `${path}.sha256`]) {
        const refused = await get(read, 409);
        assert.match(refused, /sha1 checksum file says '\w{40}'.*Put the right checksum file, or the file once more/);
      }
      assert.equal((await send('HEAD', `/artifactory/${path}`)).status, 409);
      await put(`${path}.sha1`, hash('sha1', 'right'));
      assert.equal(await get(path), 'right');
      await put(`${path}.md5`, hash('md5', 'other'), 409);
      await get(path, 409);
      await put(path, 'right');
      assert.equal(await get(path), 'right');
      // What is no checksum disputes nothing.
      await put(`${path}.sha1`, '<html>sign in</html>', 409);
      assert.equal(await get(path), 'right');
    });

    test('who neither put a file nor may replace it cannot dispute it', async () => {
      const path = 'libs/org/others/1/others-1.jar';
      await put(path, 'right');
      const wrong = { body: hash('sha1', 'other') };
      const answer = await world.as('writer').request('PUT', `/artifactory/${path}.sha1`, wrong);
      assert.equal(answer.status, 409);
      assert.equal(await get(path), 'right');
      const own = 'libs/org/own/1/own-1.jar';
      const writer = world.as('writer');
      assert.equal((await writer.request('PUT', `/artifactory/${own}`, { body: 'right' })).status, 201);
      assert.equal((await writer.request('PUT', `/artifactory/${own}.sha1`, wrong)).status, 409);
      await get(own, 409);
    });
  });
}
