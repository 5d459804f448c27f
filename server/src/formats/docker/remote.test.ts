import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseRepoKey, type Sha256 } from '../../core/ids.ts';
import type { Fetch, RemoteFacts } from '../../core/remote.ts';
import type { Wanted } from '../../core/repository.ts';
import { UpstreamFailure } from '../../core/upstream.ts';
import { defineRemote, readUpstreamManifest } from './remote.ts';

const HEX = 'a'.repeat(64);
const DIGEST = { algorithm: 'sha256', hex: HEX } as const;
const rules = defineRemote({ maxManifestBytes: 4_194_304, catalogFromCache: false });

function remote(url: string): RemoteFacts {
  return { key: parseRepoKey('far'), packageType: 'docker', url: new URL(url), settings: {} };
}

function fetchOf(wanted: Wanted, url = 'https://quay.io'): Fetch {
  return rules.fetch(wanted, remote(url)) ?? assert.fail('nothing to ask for');
}

describe('what is asked for', () => {
  test('a tag: it may change, it is read whole, and then by its digest', () => {
    const fetch = fetchOf({ package: 'team/app', version: '1.0' });
    assert.equal(fetch.ask.path, 'v2/team/app/manifests/1.0');
    assert.equal(fetch.ask.scope, 'repository:team/app:pull');
    assert.equal(fetch.path, 'team/app/1.0/manifest.json');
    assert.deepEqual([fetch.mutable, fetch.whole?.maxBytes, fetch.digest], [true, 4_194_304, undefined]);
    assert.equal(fetch.pinned?.(DIGEST).path, `v2/team/app/manifests/sha256:${HEX}`);
    for (const type of ['image.index.v1', 'image.manifest.v1', 'manifest.v2', 'manifest.list.v2']) {
      assert.ok(fetch.ask.headers?.['Accept']?.includes(`${type}+json`), type);
    }
    assert.equal(fetch.missSeconds, undefined);
  });

  test('the tag of a signature is not missed for long', () => {
    for (const version of [`sha256-${HEX}.sig`, `sha256-${HEX}.att`, `sha512-${HEX}`]) {
      assert.equal(fetchOf({ package: 'team/app', version }).missSeconds, 60);
    }
  });

  test('a manifest by its digest, and a blob: for ever the same, and never taken for missing', () => {
    const manifest = fetchOf({ package: 'team/app', digest: DIGEST, lead: true });
    assert.equal(manifest.ask.path, `v2/team/app/manifests/sha256:${HEX}`);
    assert.equal(manifest.path, `team/app/sha256:${HEX}/manifest.json`);
    const blob = fetchOf({ package: 'team/app', digest: DIGEST, lead: false });
    assert.equal(blob.ask.path, `v2/team/app/blobs/sha256:${HEX}`);
    assert.equal(blob.path, `team/app/_uploads/sha256__${HEX}`);
    assert.equal(blob.whole, undefined);
    for (const { mutable, digest, missSeconds } of [manifest, blob]) {
      assert.deepEqual([mutable, digest, missSeconds], [false, DIGEST, 0]);
    }
    assert.notEqual(manifest.key, blob.key);
  });

  test('an official image of Docker Hub below library/, in the address, the scope and the cache', () => {
    for (const name of ['nginx', 'library/nginx']) {
      const fetch = fetchOf({ package: name, version: '1' }, 'https://index.docker.io/v1/');
      assert.equal(fetch.ask.path, 'v2/library/nginx/manifests/1');
      assert.equal(fetch.ask.scope, 'repository:library/nginx:pull');
      assert.equal(fetch.path, 'library/nginx/1/manifest.json');
      assert.deepEqual([fetch.package, fetch.key], ['library/nginx', 'tag:library/nginx:1']);
    }
  });

  test('a URL that leads into a registry stands before the names', () => {
    const fetch = fetchOf({ package: 'app', version: '1' }, 'https://europe-docker.pkg.dev/v2/project/repo');
    assert.equal(fetch.ask.path, 'v2/project/repo/app/manifests/1');
    assert.equal(fetch.ask.scope, 'repository:project/repo/app:pull');
    assert.equal(fetch.path, 'app/1/manifest.json');
  });

  test('nothing for what no registry can have', () => {
    const far = remote('https://quay.io');
    for (const wanted of [
      { path: 'team/app/1/manifest.json' },
      { package: 'Team/App', version: '1' },
      { package: '../../etc', version: '1' },
      { package: 'a'.repeat(256), version: '1' },
      { package: 'team/app', version: '.hidden' },
      { package: 'team/app', version: '1?x=y' },
    ] as Wanted[]) {
      assert.equal(rules.fetch(wanted, far), undefined, JSON.stringify(wanted));
    }
    assert.equal(rules.versionNames?.('Team', far), undefined);
    assert.equal(rules.versionsWith?.('team/app', { key: 'oci.subject', value: 'sha256:no' }, far), undefined);
    assert.equal(rules.versionsWith?.('team/app', { key: 'other', value: `sha256:${HEX}` }, far), undefined);
  });

  test('the headers of a manifest tell its digest, and its type where that says something', () => {
    const { identify } = fetchOf({ package: 'team/app', version: '1' });
    const digest = `sha256:${HEX}`;
    const type = 'application/vnd.oci.image.index.v1+json';
    const headers = (mediaType: string) => ({ 'docker-content-digest': digest, 'content-type': mediaType });
    assert.deepEqual(identify?.(headers(`${type}; charset=utf-8`)), { digest: DIGEST, mediaType: type });
    assert.deepEqual(identify?.(headers('text/plain')), { digest: DIGEST });
    assert.deepEqual(identify?.({ 'docker-content-digest': 'sha1:0', 'content-type': type }), { mediaType: type });
    assert.deepEqual(identify?.({}), {});
  });
});

describe('manifests of upstreams', () => {
  const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
  const LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
  const image = (mediaType?: string) =>
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        ...(mediaType !== undefined && { mediaType }),
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: `sha256:${HEX}`, size: 1 },
        layers: [],
      }),
    );

  test('what a document says of itself counts more than its header', () => {
    for (const header of ['text/plain; charset=utf-8', 'application/json', 'application/octet-stream', '', LIST]) {
      assert.equal(readUpstreamManifest(image(IMAGE), header).mediaType, IMAGE, header);
    }
    for (const header of ['text/plain', 'application/json', IMAGE]) {
      assert.equal(readUpstreamManifest(image(), header).mediaType, IMAGE, header);
    }
  });

  test('what is no manifest is the fault of the upstream', () => {
    for (const [bytes, type] of [
      [Buffer.from('<html>log in</html>'), 'text/html'],
      [Buffer.from('{}'), 'application/json'],
      [Buffer.from(''), IMAGE],
      [Buffer.from('{"schemaVersion":1,"fsLayers":[]}'), 'application/vnd.docker.distribution.manifest.v1+prettyjws'],
      [image(LIST), LIST],
    ] as const) {
      assert.throws(
        () => readUpstreamManifest(bytes, type),
        (error) => error instanceof UpstreamFailure && error.trouble === 'broken',
      );
    }
  });
});

describe('lists of upstreams', () => {
  const bytes = (document: unknown) => Buffer.from(JSON.stringify(document));

  test('tags come in pages, in order, without what is none', () => {
    const listing = rules.versionNames?.('team/app', remote('https://quay.io')) ?? assert.fail();
    const { ask, pages, path } = listing.fetch;
    assert.deepEqual([ask.path, ask.query], ['v2/team/app/tags/list', { n: '1000' }]);
    assert.ok(path.startsWith('team/app/.'), path);
    const next = pages?.next({ link: '</v2/team/app/tags/list?last=b&n=1000>; rel="next"' }, Buffer.from(''));
    assert.deepEqual([next?.path, next?.query], ['v2/team/app/tags/list', { last: 'b', n: '1000' }]);
    const joined = pages?.join([bytes({ name: 'x', tags: ['b', null, 'a'] }), bytes({ name: 'x', tags: ['c', 'a'] })]);
    assert.deepEqual(listing.parse(joined ?? Buffer.from('')), ['a', 'b', 'c']);
    assert.deepEqual(listing.parse(bytes({ name: 'x', tags: null })), []);
    assert.deepEqual(listing.parse(bytes({ tags: ['1', '../x', 'sha256:aa', 7, '-', `${'a'.repeat(129)}`] })), ['1']);
    for (const wrong of ['<html>', '[]', 'null', '{"tags":"1"}', '']) {
      assert.throws(() => listing.parse(Buffer.from(wrong)), /no list/, wrong);
    }
  });

  test('a link never leads elsewhere', () => {
    const listing = rules.versionNames?.('team/app', remote('https://quay.io')) ?? assert.fail();
    const next = (link: string) => listing.fetch.pages?.next({ link }, Buffer.from(''));
    const evil = next('<http://169.254.169.254/latest/meta-data?last=x>; rel="next"');
    assert.deepEqual([evil?.path, evil?.link, evil?.query], ['v2/team/app/tags/list', undefined, { last: 'x' }]);
    for (const link of ['', '<>; rel="next"', '</v2/x>; rel="next"', '</v2/x?n=1>; rel="prev"', 'nonsense']) {
      assert.equal(next(link), undefined, link);
    }
    assert.deepEqual(next('</a?x=1>; rel="prev", </a?last=q>; rel=next')?.query, { last: 'q' });
  });

  test('the catalogue of a registry into which the URL leads has what lies there', () => {
    const listing = rules.packages?.(remote('https://a.example/v2/team')) ?? assert.fail();
    assert.deepEqual(
      listing.parse(bytes({ repositories: ['team/b', 'other/x', 'team/a/c', 'team', 'team/B', null] })),
      ['a/c', 'b'],
    );
    assert.equal(listing.fetch.ask.scope, 'registry:catalog:*');
    const ofCache = defineRemote({ maxManifestBytes: 1, catalogFromCache: true });
    assert.equal(ofCache.packages?.(remote('https://a.example')), undefined);
  });

  test('referrers are asked of the API, and of the tag of old where there is none', () => {
    const subject = `sha256:${HEX}`;
    const listing =
      rules.versionsWith?.('team/app', { key: 'oci.subject', value: subject }, remote('https://quay.io')) ??
      assert.fail();
    assert.equal(listing.fetch.ask.path, `v2/team/app/referrers/${subject}`);
    for (const status of [400, 401, 405]) assert.ok(listing.fetch.missing?.includes(status));
    assert.equal(listing.fetch.otherwise?.ask.path, `v2/team/app/manifests/sha256-${HEX}`);
    const entry = {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: `sha256:${'b'.repeat(64)}`,
      size: 7,
      artifactType: 'application/spdx+json',
      annotations: { a: 'b' },
    };
    const wrong = [null, 'x', {}, { ...entry, size: -1 }, { ...entry, digest: 'sha256:b' }, { ...entry, mediaType: 1 }];
    const found = listing.parse(bytes({ schemaVersion: 2, manifests: [entry, ...wrong] }));
    assert.deepEqual(found, [
      {
        version: entry.digest,
        sha256: 'b'.repeat(64) as Sha256,
        size: 7,
        mediaType: entry.mediaType,
        metadata: { sizeBytes: 7, subject, artifactType: 'application/spdx+json', annotations: { a: 'b' } },
      },
    ]);
    assert.deepEqual(listing.parse(bytes({ schemaVersion: 2, manifests: null })), []);
  });
});
