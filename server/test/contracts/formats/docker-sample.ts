/** An image, an index over two, and a signature of it. */
import assert from 'node:assert/strict';
import { describeBytes, ImageClient, makeImage, makeIndex, render, sha256, TYPES } from '../../support/oci.ts';
import type { FormatSample, Place } from './sample.ts';

const NAME = 'team/app';
const LONE = makeImage({ layers: 2 });
const PARTS = [makeImage(), makeImage()];
const INDEX = makeIndex(
  PARTS.map(({ bytes }, i) => ({
    ...describeBytes(TYPES.manifest, bytes),
    platform: { os: 'linux', architecture: i === 0 ? 'amd64' : 'arm64' },
  })),
);
const EMPTY = Buffer.from('{}');
const SIGNATURE = render({
  schemaVersion: 2,
  mediaType: TYPES.manifest,
  artifactType: 'application/vnd.example.signature',
  config: describeBytes('application/vnd.oci.empty.v1+json', EMPTY),
  layers: [],
  subject: describeBytes(TYPES.manifest, LONE.bytes),
});
const ACCEPT = { accept: Object.values(TYPES).join(', ') };

async function get({ caller, key }: Place, path: string, method = 'GET') {
  return caller.request(method, `/v2/${key}/${NAME}/${path}`, { headers: ACCEPT });
}

async function manifest(place: Place, reference: string, method = 'GET') {
  const { status, headers, bytes } = await get(place, `manifests/${reference}`, method);
  return {
    status,
    type: headers['content-type'],
    digest: headers['docker-content-digest'],
    length: headers['content-length'],
    bytes: bytes.toString('base64'),
  };
}

const LAYER = LONE.layers[1] ?? Buffer.alloc(0);

export const DOCKER_SAMPLE: FormatSample = {
  packageType: 'docker',
  upstreamUrl: ({ origin, key }) => `${origin}/artifactory/api/docker/${key}`,
  async publish({ caller, key }) {
    const client = new ImageClient(caller, `/v2/${key}/${NAME}`);
    await client.push('1.0', LONE);
    for (const part of PARTS) await client.push(part.digest, part);
    const put = async (reference: string, type: string, body: Buffer) => {
      const answer = await caller.request('PUT', `/v2/${key}/${NAME}/manifests/${reference}`, {
        headers: { 'content-type': type },
        body,
      });
      assert.equal(answer.status, 201, answer.text);
    };
    await put('multi', TYPES.index, INDEX);
    await client.pushBlob(EMPTY);
    await put(sha256(SIGNATURE), TYPES.manifest, SIGNATURE);
  },
  reads: [
    { name: 'the head of a manifest by tag', read: (place) => manifest(place, '1.0', 'HEAD') },
    { name: 'a manifest by tag', read: (place) => manifest(place, '1.0') },
    { name: 'a manifest by digest', read: (place) => manifest(place, LONE.digest) },
    { name: 'an index', read: (place) => manifest(place, 'multi') },
    { name: 'a part of an index', read: (place) => manifest(place, sha256(PARTS[1]?.bytes ?? EMPTY)) },
    {
      name: 'the head of a blob',
      async read(place) {
        const { status, headers } = await get(place, `blobs/${sha256(LAYER)}`, 'HEAD');
        return { status, length: headers['content-length'], digest: headers['docker-content-digest'] };
      },
    },
    {
      name: 'a blob',
      async read(place) {
        const { status, bytes, headers } = await get(place, `blobs/${sha256(LAYER)}`);
        return { status, bytes: bytes.toString('base64'), digest: headers['docker-content-digest'] };
      },
    },
    {
      name: 'the tags',
      async read(place) {
        const { status, text } = await get(place, 'tags/list');
        return { status, tags: (JSON.parse(text) as { tags?: unknown }).tags };
      },
    },
    {
      name: 'a page of the tags',
      async read(place) {
        const { status, text } = await get(place, 'tags/list?n=1&last=1.0');
        return { status, tags: (JSON.parse(text) as { tags?: unknown }).tags };
      },
    },
    {
      name: 'the referrers',
      async read(place) {
        const { status, text } = await get(place, `referrers/${LONE.digest}`);
        return { status, body: JSON.parse(text) as unknown };
      },
    },
    { name: 'a tag that is not there', read: async (place) => (await get(place, 'manifests/none')).status },
    {
      name: 'a blob that is not there',
      read: async (place) => (await get(place, `blobs/${sha256('none')}`)).status,
    },
  ],
};
