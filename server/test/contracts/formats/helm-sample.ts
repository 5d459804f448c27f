/** Charts in several versions, with provenance. */
import assert from 'node:assert/strict';
import { type Index, makeChart, provenanceOf, put, sha256 } from '../../formats/helm-samples.ts';
import type { FormatSample, Place } from './sample.ts';

const CHARTS = [
  await makeChart({ name: 'hello', version: '1.0.0' }),
  await makeChart({ name: 'hello', version: '1.1.0-rc.1+b.2', lines: ['appVersion: "2"'] }),
  await makeChart({ name: 'other', version: '0.1.0', lines: ['type: library'] }),
];
const [FIRST, SECOND, THIRD] = CHARTS;
const PATHS = [FIRST?.filename, `deep/er/${SECOND?.filename}`, THIRD?.filename] as const;

async function read({ caller, key }: Place, path: string, method = 'GET') {
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  const { status, bytes, headers } = await caller.request(method, `/artifactory/api/helm/${key}/${encoded}`);
  return { status, sha256: sha256(bytes), length: headers['content-length'], type: headers['content-type'] };
}

async function index({ caller, key }: Place, address: string) {
  const { status, text } = await caller.request('GET', `/artifactory/${address}${key}/index.yaml`);
  const { entries, generated } = JSON.parse(text) as Index;
  return { status, entries, generated: generated !== '' };
}

export const HELM_SAMPLE: FormatSample = {
  packageType: 'helm',
  upstreamUrl: ({ origin, key }) => `${origin}/artifactory/api/helm/${key}`,
  async publish({ caller, key }) {
    for (const [i, { bytes }] of CHARTS.entries()) {
      const answer = await put(caller, key, PATHS[i] ?? '', bytes);
      assert.equal(answer.status, 201, answer.text);
    }
    if (FIRST) await put(caller, key, `${FIRST.filename}.prov`, provenanceOf(FIRST));
  },
  reads: [
    {
      name: 'the index',
      async read(place) {
        const found = await index(place, 'api/helm/');
        return { ...found, entries: withoutTimes(found.entries) };
      },
    },
    {
      name: 'the index at its plain path',
      async read(place) {
        const found = await index(place, '');
        return { ...found, entries: withoutTimes(found.entries) };
      },
    },
    { name: 'a chart', read: (place) => read(place, PATHS[0] ?? '') },
    { name: 'a chart in a folder', read: (place) => read(place, PATHS[1]) },
    { name: 'the head of a chart', read: (place) => read(place, PATHS[0] ?? '', 'HEAD') },
    { name: 'its provenance', read: (place) => read(place, `${PATHS[0]}.prov`) },
    {
      name: 'a chart at its plain path',
      async read({ caller, key }) {
        const { status, bytes, headers } = await caller.request('GET', `/artifactory/${key}/${PATHS[0]}`);
        return { status, sha256: sha256(bytes), sum: headers['x-checksum-sha256'] };
      },
    },
    {
      name: 'a version as JSON',
      async read({ caller, key }) {
        const { status, text } = await caller.request('GET', `/artifactory/api/helm/${key}/api/charts/hello/1.0.0`);
        return { status, ...withoutTime(JSON.parse(text) as object) };
      },
    },
    { name: 'a chart that is not there', read: async (place) => (await read(place, 'none-1.0.0.tgz')).status },
    { name: 'provenance that is not there', read: async (place) => (await read(place, `${PATHS[2]}.prov`)).status },
  ],
};

/** When a chart was put differs where it is put once more. */
function withoutTime(entry: object): object {
  return { ...entry, created: undefined };
}

function withoutTimes(entries: Index['entries']) {
  return Object.fromEntries(Object.entries(entries).map(([name, list]) => [name, list.map(withoutTime)]));
}
