/** Packages in several versions and with tags, scoped and not. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { makeSamples, publishSamples } from '../../formats/npm-samples.ts';
import type { FormatSample, Place } from './sample.ts';

const SAMPLES = await makeSamples();
const SHORT = 'application/vnd.npm.install-v1+json';

interface Doc {
  readonly versions?: Readonly<Record<string, { readonly dist: { readonly tarball: string } }>>;
}

const baseOf = ({ key }: Place) => `/artifactory/api/npm/${key}`;

function get(place: Place, path: string, accept = 'application/json') {
  return place.caller.request('GET', `${baseOf(place)}/${path}`, { headers: { accept } });
}

/** When a package was published differs where it is put once more; addresses name the registry that was asked. */
async function read(place: Place, path: string, accept?: string): Promise<unknown> {
  const { status, text, headers } = await get(place, path, accept);
  const plain = JSON.parse(text.replaceAll(`${place.origin}${baseOf(place)}/`, '<registry>/')) as object;
  return { status, type: headers['content-type'], ...plain, time: undefined, modified: undefined, _rev: undefined };
}

/** Every tarball, from where the document says that it lies. */
async function readTarballs(place: Place, name: string): Promise<unknown> {
  const { versions = {} } = JSON.parse((await get(place, name)).text) as Doc;
  const found: Record<string, unknown> = {};
  for (const [version, { dist }] of Object.entries(versions)) {
    assert.ok(dist.tarball.startsWith(`${place.origin}${baseOf(place)}/`), dist.tarball);
    const { status, bytes } = await place.caller.request('GET', dist.tarball.slice(place.origin.length));
    found[version] = { status, sha256: createHash('sha256').update(bytes).digest('hex') };
  }
  assert.ok(Object.keys(found).length > 0);
  return found;
}

export const NPM_SAMPLE: FormatSample = {
  packageType: 'npm',
  upstreamUrl: ({ origin, key }) => `${origin}/artifactory/api/npm/${key}`,
  async publish(place) {
    await publishSamples(place.caller, baseOf(place), SAMPLES);
  },
  reads: [
    { name: 'a document', read: (place) => read(place, 'sample-plain') },
    { name: 'an abbreviated document', read: (place) => read(place, 'sample-plain', SHORT) },
    { name: 'a scoped document', read: (place) => read(place, '@sample%2fscoped') },
    { name: 'a version by its number', read: (place) => read(place, 'sample-plain/1.0.0') },
    { name: 'a version by a tag', read: (place) => read(place, 'sample-plain/beta') },
    { name: 'tags', read: (place) => read(place, '-/package/sample-plain/dist-tags') },
    { name: 'tarballs', read: (place) => readTarballs(place, 'sample-plain') },
    { name: 'a scoped tarball', read: (place) => readTarballs(place, '@sample%2fscoped') },
    { name: 'a package that is not there', read: async (place) => (await get(place, 'no-such-sample')).status },
    { name: 'a version that is not there', read: async (place) => (await get(place, 'sample-plain/9.9.9')).status },
  ],
};
