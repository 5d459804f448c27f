/** Deploying files as Artifactory's clients do: what they may say, what they are told, and what is refused how. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { RepoKey } from '../../../src/core/ids.ts';
import { createRepository } from '../../../src/db/repositories.ts';
import { uniqueBytes } from '../../support/oci.ts';
import { type Answer, type Caller, STORAGES } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

const FILES = '/artifactory/generic-local';
const hash = (algorithm: string, bytes: Buffer | string) => createHash(algorithm).update(bytes).digest('hex');
const message = (answer: Answer) => (answer.json() as { errors: { message: string }[] }).errors[0]!.message;

interface Deployed {
  readonly repo: string;
  readonly path: string;
  readonly created: string;
  readonly createdBy: string;
  readonly checksums: Readonly<Record<string, string>>;
  readonly originalChecksums: Readonly<Record<string, string>>;
}

for (const storage of STORAGES) {
  describe(`deploying on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage, {
        prepare: async (core) => {
          const create = (key: string, config: object, rclass: 'local' | 'remote' | 'virtual' = 'local') =>
            core.database.transaction((tx) =>
              createRepository(
                tx,
                { key: key as RepoKey, rclass, packageType: 'generic', config: config as Record<string, unknown> },
                Date.now(),
              ),
            );
          await create('trusting', { checksumPolicyType: 'server-generated-checksums' });
          await create('second', {});
          await create('far', { url: 'http://localhost:1' }, 'remote');
          await create('nowhere-virtual', { repositories: ['generic-local'] }, 'virtual');
          await create('all', { repositories: ['generic-local'], defaultDeploymentRepo: 'generic-local' }, 'virtual');
        },
      });
    });
    after(() => world.stop());

    const put = (
      path: string,
      options: { body?: Buffer | string; headers?: Record<string, string>; by?: Caller; repo?: string } = {},
    ) =>
      (options.by ?? world.admin).request('PUT', `/artifactory/${options.repo ?? 'generic-local'}/${path}`, {
        body: options.body ?? 'x',
        headers: options.headers ?? {},
      });
    const created = async (...args: Parameters<typeof put>): Promise<Answer> => {
      const answer = await put(...args);
      assert.equal(answer.status, 201, answer.text);
      return answer;
    };
    const propertiesOf = async (name: string) => {
      const rows = await world.database.kysely
        .selectFrom('property')
        .innerJoin('node', 'node.id', 'property.node_id')
        .select(['property.key', 'property.value'])
        .where('node.name', '=', name)
        .execute();
      return rows.map(({ key, value }) => `${key}=${value}`).sort();
    };

    test('the answer has the type, the headers and the fields that clients read', async () => {
      const body = randomBytes(300);
      const { headers, ...answer } = await created('answered/%C3%A4.jar', {
        body,
        headers: { 'x-checksum-md5': hash('md5', body) },
      });
      assert.equal(
        headers['content-type'],
        'application/vnd.org.jfrog.artifactory.storage.ItemCreated+json;charset=ISO-8859-1',
      );
      assert.equal(headers['x-checksum-sha256'], hash('sha256', body));
      assert.match(answer.text, /"path":"\/answered\/\\u00e4\.jar"/);
      const json = answer.json() as Deployed;
      assert.equal(json.path, '/answered/ä.jar');
      assert.deepEqual(json.originalChecksums, { md5: hash('md5', body), sha256: hash('sha256', body) });
      for (const name of ['x-jfrog-version', 'x-artifactory-id', 'x-artifactory-node-id'] as const) {
        assert.ok(headers[name], name);
      }
      assert.equal(headers['x-jfrog-version'], 'Artifactory/7.161.15 86115900');
    });

    test('old plug-ins of build servers are not told of SHA-256', async () => {
      const answer = await created('old', { headers: { 'user-agent': 'ArtifactoryBuildClient/2.1' } });
      const { checksums, originalChecksums } = answer.json() as Deployed;
      assert.deepEqual(Object.keys(checksums), ['sha1', 'md5']);
      assert.deepEqual(originalChecksums, {});
    });

    test('what the client declared is kept with the file, and replaced with it', async () => {
      const declared = async () => {
        const row = await world.database.kysely
          .selectFrom('node')
          .select(['original_sha1', 'original_md5'])
          .where('name', '=', 'declared')
          .executeTakeFirstOrThrow();
        return { sha1: row.original_sha1, md5: row.original_md5 };
      };
      await created('declared', { headers: { 'x-checksum-sha1': hash('sha1', 'x') } });
      assert.deepEqual(await declared(), { sha1: hash('sha1', 'x'), md5: null });
      await created('declared', { body: 'y' });
      assert.deepEqual(await declared(), { sha1: null, md5: null });
      const side = await created('declared.md5', { body: hash('md5', 'y') });
      assert.equal(side.headers.location, `${world.app.url}${FILES}/declared.md5`);
      assert.deepEqual(await declared(), { sha1: null, md5: hash('md5', 'y') });
    });

    test('matrix parameters are escaped by a backslash and encoded as forms are', async () => {
      await created('escaped;a=1%5C,2,3;b=x%5C%2Cy;c=p%5C%5C;d=e%5C=f;g=h+i%2Bj;k=l%5Cm;n=o%5C%7Cp');
      assert.deepEqual(
        await propertiesOf('escaped'),
        ['a=1,2', 'a=3', 'b=x,y', 'c=p\\', 'd=e=f', 'g=h i+j', 'k=l\\m', 'n=o|p'].sort(),
      );
    });

    test('names that no property can have are refused', async () => {
      for (const key of ['1a', '-a', 'a%20b', 'a+b', 'a%2Fb', 'a(b', 'a%C2%A7', 'a%3Cb', '%20']) {
        const answer = await put(`refused;${key}=1`);
        assert.equal(answer.status, 400, key);
      }
      assert.equal((await world.admin.request('GET', `${FILES}/refused`)).status, 404);
    });

    test('a folder takes the properties of its address', async () => {
      const answer = await created('made/folder/;a=1;b=2', { body: '' });
      const json = answer.json() as { path: string; uri: string };
      assert.equal(json.path, '/made/folder/');
      assert.equal(json.uri, `${world.app.url}${FILES}/made/folder/`);
      assert.deepEqual(await propertiesOf('folder'), ['a=1', 'b=2']);
      await created('made/plain/;a=1', { body: '', by: world.as('dropper') });
      assert.deepEqual(await propertiesOf('plain'), []);
    });

    test('a wrong checksum is refused in known words, unless the repository takes no heed of it', async () => {
      const headers = { 'x-checksum-sha1': hash('sha1', 'other') };
      const refused = await put('wrong', { headers });
      assert.equal(refused.status, 409);
      assert.match(
        message(refused),
        /^Checksum policy 'LocalRepoChecksumPolicy: CLIENT' rejected the artifact 'generic-local:wrong'\. Checksums info: \[/,
      );
      assert.equal((await world.admin.request('GET', `${FILES}/wrong`)).status, 404);
      const taken = await created('wrong', { headers, repo: 'trusting' });
      assert.equal((taken.json() as Deployed).checksums['sha1'], hash('sha1', 'x'));
    });

    test('checksum files say in known words what is wrong', async () => {
      await created('summed.jar');
      await created('summed/in-folder');
      const cases: readonly (readonly [string, string, number, RegExp])[] = [
        [
          'none.jar.sha1',
          hash('sha1', 'x'),
          404,
          /^Target file to set checksum on doesn't exist: generic-local:none\.jar$/,
        ],
        [
          'summed.jar.sha1',
          'abc',
          409,
          /^Checksum error for 'summed\.jar\.sha1': received 'abc' but actual is '[0-9a-f]{40}'$/,
        ],
        ['summed.sha1', hash('sha1', 'x'), 409, /folder/],
        ['summed.jar.md5', 'x'.repeat(5000), 409, /too long/],
      ];
      for (const [path, body, status, text] of cases) {
        const answer = await put(path, { body });
        assert.equal(answer.status, status, path);
        assert.match(message(answer), text);
      }
      assert.equal((await put('summed.jar.sha1', { body: hash('sha1', 'x'), by: world.as('dropper') })).status, 201);
      const guessed = await put('summed.jar.sha1', { body: 'abc', by: world.as('dropper') });
      assert.equal(guessed.status, 409);
      assert.ok(!guessed.text.includes(hash('sha1', 'x')), 'who may not read is not told');
    });

    test('overwriting without the right to delete is refused in known words', async () => {
      await created('kept');
      const answer = await put('kept', { by: world.as('writer') });
      assert.equal(answer.status, 403);
      assert.equal(
        message(answer),
        "Not enough permissions to delete/overwrite artifact 'generic-local:kept' (user: 'writer' needs DELETE permission).",
      );
    });

    test('remote and virtual repositories refuse, or hand on to the local one they name', async () => {
      for (const key of ['far', 'far-cache']) {
        const answer = await put('a', { repo: key });
        assert.equal(answer.status, 404);
        assert.equal(message(answer), `Could not find a local repository named ${key} to deploy to.`);
      }
      const refused = await put('a', { repo: 'nowhere-virtual' });
      assert.equal(refused.status, 405);
      assert.equal(refused.headers.allow, 'GET');
      assert.match(message(refused), /local deployment repository for the \(nowhere-virtual\) virtual repository/);
      const taken = await created('through', { repo: 'all' });
      assert.equal((taken.json() as Deployed).repo, 'generic-local');
    });

    test('only an administrator says when and by whom a file was made', async () => {
      const headers = {
        'x-artifactory-created': '1420117199000',
        'x-artifactory-created-by': 'ann',
        'x-artifactory-last-modified': '2016-03-04T05:06:07.000Z',
        'x-artifactory-modified-by': 'bob',
      };
      const json = (await created('stamped', { headers })).json() as Deployed;
      assert.equal(json.created, new Date(1420117199000).toISOString());
      assert.equal(json.createdBy, 'ann');
      const { headers: read } = await world.admin.request('GET', `${FILES}/stamped`);
      assert.equal(read['last-modified'], 'Fri, 04 Mar 2016 05:06:07 GMT');
      const later = (await created('stamped', { body: 'later' })).json() as Deployed;
      assert.equal(later.createdBy, 'ann');
      const other = (await created('unstamped', { headers, by: world.as('owner') })).json() as Deployed;
      assert.equal(other.createdBy, 'owner');
      assert.ok(Date.now() - Date.parse(other.created) < 60_000);
    });

    test('bytes are found by either checksum in every repository the caller may read, and in no other', async () => {
      const bytes = uniqueBytes(40_000);
      await created('origin', { body: bytes, repo: 'second' });
      const sums: readonly Record<string, string>[] = [
        { 'x-checksum-sha256': hash('sha256', bytes) },
        { 'x-checksum-sha1': hash('sha1', bytes) },
        { 'x-checksum': hash('sha1', bytes) },
      ];
      for (const [i, sum] of sums.entries()) {
        const headers = { 'x-checksum-deploy': 'true', ...sum };
        const answer = await created(`linked/${i};a=b`, { body: '', headers });
        assert.equal((answer.json() as Deployed).checksums['sha256'], hash('sha256', bytes));
        assert.deepEqual((await world.admin.request('GET', `${FILES}/linked/${i}`)).bytes, bytes);
        const secret = uniqueBytes();
        await created('secret', { body: secret, repo: 'second' });
      }
      assert.deepEqual(await propertiesOf('2'), ['a=b']);
      const secret = uniqueBytes();
      await created('secret', { body: secret, repo: 'second' });
      const [unknown, forbidden, md5, contradicted] = await Promise.all(
        [
          { 'x-checksum-sha256': hash('sha256', uniqueBytes()) },
          { 'x-checksum-sha1': hash('sha1', secret) },
          { 'x-checksum-md5': hash('md5', bytes) },
          { 'x-checksum-sha256': hash('sha256', bytes), 'x-checksum-sha1': hash('sha1', 'other') },
        ].map((sum) =>
          put('not-linked', {
            body: '',
            headers: { 'x-checksum-deploy': 'true', ...sum } as Record<string, string>,
            by: world.as('owner'),
          }),
        ),
      );
      for (const answer of [unknown, forbidden, md5, contradicted]) {
        assert.equal(answer!.status, 404);
        assert.equal(answer!.text, unknown!.text);
        assert.match(message(answer!), /^Checksum deploy failed\./);
      }
    });

    test('a SHA-1 that two blobs share links neither', async () => {
      const [one, two] = [uniqueBytes(), uniqueBytes()];
      await created('collision/one', { body: one });
      await created('collision/two', { body: two });
      await world.database.kysely
        .updateTable('blob')
        .set({ sha1: hash('sha1', one) })
        .where('sha256', '=', hash('sha256', two))
        .execute();
      const headers = { 'x-checksum-deploy': 'true', 'x-checksum-sha1': hash('sha1', one) };
      assert.equal((await put('collision/copy', { body: '', headers })).status, 404);
      const both = { 'x-checksum-deploy': 'true', 'x-checksum-sha256': hash('sha256', one) };
      await created('collision/copy', { body: '', headers: both });
    });
  });
}
