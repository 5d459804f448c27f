/** Tags, the catalogue and referrers, page by page. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  codeOf,
  type Descriptor,
  describeBytes,
  ImageClient,
  makeImage,
  makeIndex,
  sha256,
  sha512,
  TYPES,
} from '../../support/oci.ts';
import type { Answer, Caller } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

const DOCKER_MOUNT = '/artifactory/api/docker/docker-local/v2';

/** Where the next page is; undefined on the last. */
function nextOf(answer: Answer): string | undefined {
  const { link } = answer.headers;
  if (link === undefined) return undefined;
  return /^<([^>]+)>; rel="next"$/.exec(String(link))?.[1] ?? assert.fail(`no link: ${String(link)}`);
}

/** Follows the links from a page to the last; each page must be full except the last. */
async function follow<T>(caller: Caller, start: string, read: (answer: Answer) => readonly T[]): Promise<T[][]> {
  const pages: T[][] = [];
  for (let path: string | undefined = start; path !== undefined; ) {
    const answer = await caller.request('GET', path);
    assert.equal(answer.status, 200, answer.text);
    pages.push([...read(answer)]);
    path = nextOf(answer);
  }
  return pages;
}

const tagsOf = (answer: Answer) => (answer.json() as { tags: string[] }).tags;
const namesOf = (answer: Answer) => (answer.json() as { repositories: string[] }).repositories;
const manifestsOf = (answer: Answer) => (answer.json() as { manifests: Descriptor[] }).manifests;

describe('listings', () => {
  const TAGS = ['1.0', '1.10', '1.9', 'A', 'Z', '_', 'a', 'latest', 'sha256-x', 'sha256', 'sha512', 'z'].sort();
  let world: World;
  let client: ImageClient;
  before(async () => {
    world = await startWorld('sqlite-fs');
    client = new ImageClient(world.admin, '/v2/docker-local/listed');
    const image = makeImage();
    for (const tag of TAGS) await client.push(tag, image);
    // A manifest without a tag is no tag.
    const untagged = makeImage();
    for (const blob of [untagged.config, ...untagged.layers]) await client.pushBlob(blob);
    await client.pushManifest(untagged.digest, untagged.bytes);
    for (const name of ['a', 'a/b', 'a-b', 'ab', 'b'])
      await new ImageClient(world.admin, `/v2/docker-local/${name}`).push('v', image);
    for (const name of ['a', 'zeta']) await new ImageClient(world.admin, `/v2/docker-other/${name}`).push('v', image);
  });
  after(() => world.stop());

  test('tags come in the order of their bytes, all at once by default', async () => {
    const answer = await client.request('GET', '/tags/list');
    assert.deepEqual(answer.json(), { name: 'docker-local/listed', tags: TAGS });
    assert.equal(answer.headers['link'], undefined);
    assert.match(String(answer.headers['content-type']), /^application\/json/);
  });

  for (const size of [1, 2, 5, 11, 12, 13]) {
    test(`tags in pages of ${size} are the same tags`, async () => {
      const pages = await follow(world.admin, `/v2/docker-local/listed/tags/list?n=${size}`, tagsOf);
      assert.deepEqual(pages.flat(), TAGS);
      assert.deepEqual(
        pages.slice(0, -1).map(({ length }) => length),
        pages.slice(0, -1).map(() => size),
      );
      assert.ok(pages.at(-1)!.length > 0, 'no empty page at the end');
    });
  }

  test('tags begin after the last that is named, which need not exist', async () => {
    const after = async (last: string) =>
      tagsOf(await client.request('GET', `/tags/list?last=${encodeURIComponent(last)}`));
    for (const last of ['', '0', '1.0', '1.5', 'B', 'a', 'sha256', 'sha256:', 'sha256:zzz', 'sha2', 'zzz']) {
      assert.deepEqual(
        await after(last),
        TAGS.filter((tag) => Buffer.compare(Buffer.from(tag), Buffer.from(last)) > 0),
        last,
      );
    }
  });

  test('a page of no tags is empty and has no next', async () => {
    const answer = await client.request('GET', '/tags/list?n=0');
    assert.deepEqual(tagsOf(answer), []);
    assert.equal(answer.headers['link'], undefined);
  });

  test('links stay below the address that the client used', async () => {
    const plain = await client.request('GET', '/tags/list?n=2');
    assert.equal(nextOf(plain), '/v2/docker-local/listed/tags/list?last=1.10&n=2');
    const below = await world.admin.request('GET', `${DOCKER_MOUNT}/listed/tags/list?n=2`);
    assert.equal(nextOf(below), `${DOCKER_MOUNT}/listed/tags/list?last=1.10&n=2`);
    assert.equal((below.json() as { name: string }).name, 'listed');
    const pages = await follow(world.admin, `${DOCKER_MOUNT}/listed/tags/list?n=5`, tagsOf);
    assert.deepEqual(pages.flat(), TAGS);
    assert.match(nextOf(await world.admin.request('GET', '/v2/_catalog?n=1'))!, /^\/v2\/_catalog\?/);
    assert.match(
      nextOf(await world.admin.request('GET', `${DOCKER_MOUNT}/_catalog?n=1`))!,
      /^\/artifactory\/api\/docker\/docker-local\/v2\/_catalog\?/,
    );
  });

  test('an image that was never pushed is unknown, one without tags is not', async () => {
    const unknown = await world.admin.request('GET', '/v2/docker-local/never/tags/list');
    assert.equal(unknown.status, 404);
    assert.equal(codeOf(unknown), 'NAME_UNKNOWN');
    const bare = new ImageClient(world.admin, '/v2/docker-local/bare');
    const { digest } = await bare.push('v', makeImage());
    await bare.request('DELETE', '/manifests/v');
    assert.equal(await bare.statusOf(`/manifests/${digest}`), 200);
    assert.deepEqual((await bare.request('GET', '/tags/list')).json(), { name: 'docker-local/bare', tags: [] });
  });

  const LOCAL = ['a', 'a-b', 'a/b', 'ab', 'b', 'bare', 'listed'];
  const ALL = [...LOCAL.map((name) => `docker-local/${name}`), 'docker-other/a', 'docker-other/zeta'];

  for (const size of [1, 2, 3, 8, 9, 10, 1000]) {
    test(`the catalogue in pages of ${size} is the same catalogue`, async () => {
      const pages = await follow(world.admin, `/v2/_catalog?n=${size}`, namesOf);
      assert.deepEqual(pages.flat(), ALL);
      assert.ok(pages.every(({ length }) => length > 0 && length <= size));
    });
  }

  test('the catalogue of one repository has its names without the key', async () => {
    const pages = await follow(world.admin, `${DOCKER_MOUNT}/_catalog?n=2`, namesOf);
    assert.deepEqual(pages.flat(), LOCAL);
  });

  test('the catalogue shows each caller what it may read', async () => {
    const seen = async (caller: Caller) => namesOf(await caller.request('GET', '/v2/_catalog'));
    assert.deepEqual(
      await seen(world.as('reader')),
      LOCAL.map((name) => `docker-local/${name}`),
    );
    assert.deepEqual(await seen(world.as('other')), ['docker-other/a', 'docker-other/zeta']);
    assert.deepEqual(await seen(world.as('owner')), ALL);
    assert.deepEqual(await seen(world.as('dropper')), []);
    assert.equal((await world.anonymous.request('GET', '/v2/_catalog')).status, 401);
  });

  test('a token of the scope that is asked for sees the catalogue', async () => {
    const answer = await world.as('reader').request('GET', '/v2/token?scope=registry:catalog:*');
    const headers = { authorization: `Bearer ${(answer.json() as { token: string }).token}` };
    for (const [path, first] of [
      ['/v2/_catalog', 'docker-local/a'],
      [`${DOCKER_MOUNT}/_catalog`, 'a'],
    ] as const) {
      assert.equal(namesOf(await world.anonymous.request('GET', path, { headers }))[0], first);
    }
  });
});

describe('referrers', () => {
  let world: World;
  let client: ImageClient;
  let subject: Descriptor;
  before(async () => {
    world = await startWorld('sqlite-fs');
    client = new ImageClient(world.admin, '/v2/docker-local/subject');
    subject = await client.push('v1', makeImage());
  });
  after(() => world.stop());

  /** Pushes something that refers to the subject; returns how it should be listed. */
  async function refer(
    fields: Record<string, unknown>,
    to: { digest: string } = subject,
  ): Promise<Record<string, unknown>> {
    const image = makeImage({ layers: 0, extra: { subject: { ...subject, digest: to.digest }, ...fields } });
    await client.pushBlob(image.config);
    const answer = await client.putManifest(image.digest, image.bytes);
    assert.equal(answer.status, 201, answer.text);
    assert.equal(answer.headers['oci-subject'], to.digest);
    return { ...describeBytes(TYPES.manifest, image.bytes), artifactType: fields['artifactType'] ?? TYPES.config };
  }
  const list = (digest: string, query = '') => client.request('GET', `/referrers/${digest}${query}`);

  test('referrers are listed oldest first, with their own annotations and nothing else', async () => {
    const annotations = { 'org.example.key': 'value' };
    const expected = [
      await refer({ artifactType: 'application/vnd.a+json' }),
      { ...(await refer({ annotations })), annotations },
      await refer({ artifactType: 'application/vnd.b' }),
    ];
    const answer = await list(subject.digest);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], TYPES.index);
    assert.equal(answer.headers['oci-filters-applied'], undefined);
    assert.deepEqual(answer.json(), { schemaVersion: 2, mediaType: TYPES.index, manifests: expected });
    const [first] = expected;
    for (const spelling of ['application/vnd.a%2Bjson', 'application/vnd.a+json', 'application%2Fvnd.a%2Bjson']) {
      const filtered = await list(subject.digest, `?artifactType=${spelling}`);
      assert.equal(filtered.headers['oci-filters-applied'], 'artifactType');
      assert.deepEqual(manifestsOf(filtered), [first], spelling);
    }
    assert.deepEqual(manifestsOf(await list(subject.digest, '?artifactType=application/vnd.none')), []);
  });

  test('an index may refer, and is listed without a type if it names none', async () => {
    const to = await client.push('v2', makeImage());
    const bytes = makeIndex([], { subject: to });
    await client.pushManifest(sha256(bytes), bytes, TYPES.index);
    const typed = makeIndex([], { subject: to, artifactType: 'application/vnd.c' });
    await client.pushManifest('typed', typed, TYPES.index);
    assert.deepEqual(manifestsOf(await list(to.digest)), [
      describeBytes(TYPES.index, bytes),
      { ...describeBytes(TYPES.index, typed), artifactType: 'application/vnd.c' },
    ]);
  });

  test('a referrer under several tags is listed once, and no more when it is deleted', async () => {
    const to = await client.push('v3', makeImage());
    const image = makeImage({ layers: 0, extra: { subject: to } });
    await client.push('r1', image);
    await client.pushManifest('r2', image.bytes);
    assert.equal(manifestsOf(await list(to.digest)).length, 1);
    await client.request('DELETE', '/manifests/r1');
    assert.equal(manifestsOf(await list(to.digest)).length, 1);
    await client.request('DELETE', `/manifests/${image.digest}`);
    assert.deepEqual(manifestsOf(await list(to.digest)), []);
  });

  test('subjects may be missing, may be deleted, and may be SHA-512', async () => {
    const missing = { digest: sha256('missing') };
    await refer({}, missing);
    assert.equal(manifestsOf(await list(missing.digest)).length, 1);
    const long = { digest: sha512('long') };
    await refer({}, long);
    assert.equal(manifestsOf(await list(long.digest)).length, 1);
    const gone = await client.push('gone', makeImage());
    await refer({}, gone);
    await client.request('DELETE', `/manifests/${gone.digest}`);
    assert.equal(manifestsOf(await list(gone.digest)).length, 1);
  });

  test('long lists come in pages below 4 MiB that link to one another', async () => {
    const to = { digest: sha256('paged') };
    const expected: unknown[] = [];
    for (let i = 0; i < 6; i++) {
      const { digest } = await refer(
        { annotations: { note: String(i).repeat(1_000_000) }, artifactType: `a/${i % 2}` },
        to,
      );
      expected.push(digest);
    }
    const sizes: number[] = [];
    const pages = await follow(world.admin, `/v2/docker-local/subject/referrers/${to.digest}`, (answer) => {
      sizes.push(answer.bytes.length);
      return manifestsOf(answer).map(({ digest }) => digest);
    });
    assert.deepEqual(pages.flat(), expected);
    assert.ok(pages.length > 1);
    assert.ok(sizes.every((size) => size < 4 * 1024 * 1024));
    const filtered = await follow(
      world.admin,
      `/v2/docker-local/subject/referrers/${to.digest}?artifactType=a/1`,
      (answer) => {
        assert.equal(answer.headers['oci-filters-applied'], 'artifactType');
        return manifestsOf(answer).map(({ digest }) => digest);
      },
    );
    assert.deepEqual(
      filtered.flat(),
      expected.filter((_, i) => i % 2 === 1),
    );
  });

  test('referrers of another image with the same subject are not shown', async () => {
    const twin = new ImageClient(world.admin, '/v2/docker-local/twin');
    assert.deepEqual(manifestsOf(await twin.request('GET', `/referrers/${subject.digest}`)), []);
    assert.equal((await twin.request('HEAD', `/referrers/${subject.digest}`)).status, 200);
  });
});
