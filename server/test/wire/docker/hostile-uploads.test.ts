/** Uploads and mounts that go wrong, or ask for what is not theirs: rows D32 to D44 of the catalogue of bad inputs. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describeRows, type Row, type SkippedRow } from '../../support/hostile.ts';
import { ImageClient, sha256, uniqueBytes } from '../../support/oci.ts';
import { type Caller, STORAGES } from '../../support/test-app.ts';
import type { World } from '../../support/wire-world.ts';

const BASE = '/v2/docker-local/uploads';
const OTHER = '/v2/docker-other/app';
const MAX_OPEN = 60;

const image = ({ admin }: World) => new ImageClient(admin, BASE);

/** A session that holds three bytes. */
async function sessionOfThree(world: World): Promise<string> {
  const location = await image(world).startUpload();
  const answer = await world.admin.request('PATCH', location, { body: 'abc' });
  assert.equal(answer.headers.range, '0-2');
  return location;
}

async function cancel(world: World, locations: readonly string[]): Promise<void> {
  for (const location of locations) await world.admin.request('DELETE', location);
}

/** Asks the endpoint for tokens as a Docker client would. */
async function bearer(caller: Caller, scope: string): Promise<Record<string, string>> {
  const answer = await caller.request('GET', `/v2/token?scope=${encodeURIComponent(scope)}`);
  return { authorization: `Bearer ${(answer.json() as { token: string }).token}` };
}

/** Rows of 202 start sessions, which are given up again; they are told from one another by nothing but their id. */
const startsSession: Pick<Row, 'status' | 'shape' | 'check'> = {
  status: [202],
  shape: 'oci',
  check: async (world, answers) => {
    const shapes = answers.map(({ headers, text }) => {
      const { location, date: _, 'x-request-id': __, 'docker-upload-uuid': id, ...rest } = headers;
      return JSON.stringify([String(location).replace(String(id), ''), rest, text]);
    });
    assert.equal(new Set(shapes).size, 1);
    await cancel(
      world,
      answers.map(({ headers }) => String(headers['location'])),
    );
  },
};

const RANGES = [
  '5-7',
  '0-2',
  '2-4',
  '4-6',
  '7-5',
  'a-b',
  'bytes 0-',
  '-3',
  '3-',
  '-1-2',
  '3',
  '',
  '3-5,6-8',
  '0x3-5',
  `${'9'.repeat(17)}-${'9'.repeat(17)}`,
];

const ROWS: readonly Row[] = [
  {
    id: 'D33',
    name: 'finishing without a digest, with two, or with one that is none',
    attacks: async (world) => {
      const location = await sessionOfThree(world);
      const [good, bad] = [sha256('abc'), sha256('x')];
      return [
        '',
        '?',
        '?digest=',
        '?digest=sha256:zz',
        `?digest=md5:${'a'.repeat(32)}`,
        `?digest=${good}&digest=${bad}`,
        `?digest=${bad}&digest=${good}`,
        `?Digest=${good}`,
      ].map((query) => ({ method: 'PUT', path: `${location}${query}` }));
    },
    status: [400],
    codes: ['DIGEST_INVALID'],
    shape: 'oci',
  },
  {
    id: 'D34',
    name: 'chunks that do not go on where the upload stands',
    attacks: async (world) => {
      const location = await sessionOfThree(world);
      return RANGES.flatMap((range) => [
        { method: 'PATCH', path: location, options: { body: 'def', headers: { 'content-range': range } } },
        {
          method: 'PUT',
          path: `${location}?digest=${sha256('abcdef')}`,
          options: { body: 'def', headers: { 'content-range': range } },
        },
      ]);
    },
    status: [416],
    codes: ['RANGE_INVALID'],
    shape: 'oci',
    check: async ({ admin }, answers) => {
      for (const { headers } of answers) assert.equal(headers['range'], '0-2');
      const location = String(answers[0]!.headers['location']);
      assert.equal((await admin.request('GET', location)).headers.range, '0-2');
      const next = await admin.request('PATCH', location, { body: 'def', headers: { 'content-range': '3-5' } });
      assert.equal(next.headers.range, '0-5');
      assert.equal((await admin.request('PUT', `${location}?digest=${sha256('abcdef')}`)).status, 201);
    },
  },
  {
    id: 'D34',
    name: 'chunks of another length than they say',
    attacks: async (world) => {
      const location = await sessionOfThree(world);
      return ['3-9', '3-3', 'bytes 3-9/*', 'bytes=3-4'].map((range) => ({
        method: 'PATCH',
        path: location,
        options: { body: 'def', headers: { 'content-range': range } },
      }));
    },
    status: [400],
    codes: ['SIZE_INVALID'],
    shape: 'oci',
  },
  {
    id: 'D36',
    name: 'an upload of another image, repository or form of address',
    attacks: async (world) => {
      const id = (await sessionOfThree(world)).split('/').at(-1)!;
      return [
        '/v2/docker-local/another',
        '/v2/docker-local/uploads/below',
        OTHER,
        '/artifactory/api/docker/docker-other/v2/uploads',
      ].flatMap((base) =>
        [`PATCH ${id}`, `PUT ${id}?digest=${sha256('abc')}`, `GET ${id}`, `HEAD ${id}`, `DELETE ${id}`].map((line) => {
          const [method = '', rest = ''] = line.split(' ');
          return { method, path: `${base}/blobs/uploads/${rest}`, options: method === 'PATCH' ? { body: 'x' } : {} };
        }),
      );
    },
    status: [404],
    codes: ['BLOB_UPLOAD_UNKNOWN'],
    shape: 'oci',
  },
  {
    id: 'D36',
    name: 'an upload of somebody who may not push is as unknown to them as one that is none',
    attacks: async (world) => {
      const id = (await sessionOfThree(world)).split('/').at(-1)!;
      return (['reader', 'outsider'] as const).flatMap((name) =>
        [id, randomUUID()].flatMap((one) =>
          ['PATCH', 'PUT', 'GET', 'DELETE'].map((method) => ({
            method,
            path: `${BASE}/blobs/uploads/${one}${method === 'PUT' ? `?digest=${sha256('abc')}` : ''}`,
            by: world.as(name),
          })),
        ),
      );
    },
    status: [404, 403],
    shape: 'oci',
    check: (_world, answers) => {
      for (const half of [answers.slice(0, 8), answers.slice(8)]) {
        const seen = half.map(({ status, text }) => `${status} ${text}`);
        assert.deepEqual(seen.slice(0, 4), seen.slice(4));
      }
    },
  },
  {
    id: 'D37',
    name: 'upload ids that are none',
    attacks: () =>
      [
        randomUUID(),
        'x',
        'a'.repeat(1024),
        '%27%20or%201=1--',
        randomUUID().toUpperCase(),
        `${randomUUID()}x`,
        '-'.repeat(36),
        '__proto__',
        '%20',
      ].flatMap((id) =>
        ['GET', 'PATCH', 'PUT', 'DELETE'].map((method) => ({
          method,
          path: `${BASE}/blobs/uploads/${id}${method === 'PUT' ? `?digest=${sha256('')}` : ''}`,
        })),
      ),
    status: [404],
    codes: ['BLOB_UPLOAD_UNKNOWN'],
    shape: 'oci',
  },
  {
    id: 'D37',
    name: 'upload ids that go up',
    attacks: () => ['../x', '..%2fx', '%2e%2e'].map((id) => ({ method: 'PATCH', path: `${BASE}/blobs/uploads/${id}` })),
    status: [400, 404],
    shape: 'oci',
  },
  {
    id: 'D41',
    name: 'mounting a digest that is unknown, forbidden, or from a place that is none',
    attacks: async (world) => {
      const hidden = await new ImageClient(world.admin, OTHER).pushBlob(uniqueBytes());
      const by = world.as('writer');
      const froms = [
        'docker-other/app',
        'docker-none/app',
        encodeURIComponent('../../x'),
        'x'.repeat(3000),
        'uploads',
        'docker-local/uploads',
        '',
        '%2F',
        '%27',
      ];
      return [hidden, sha256(randomUUID())].flatMap((digest) =>
        ['', ...froms.map((from) => `&from=${from}`)].map((from) => ({
          method: 'POST',
          path: `${BASE}/blobs/uploads/?mount=${digest}${from}`,
          by,
        })),
      );
    },
    ...startsSession,
  },
  {
    id: 'D41',
    name: 'mounting a digest that is none',
    attacks: () =>
      ['sha256:zz', '', 'x'].map((digest) => ({
        method: 'POST',
        path: `${BASE}/blobs/uploads/?mount=${digest}&from=a`,
      })),
    status: [400],
    codes: ['DIGEST_INVALID'],
    shape: 'oci',
  },
  {
    id: 'D42',
    name: 'mounting with a token that does not cover the source',
    attacks: async (world) => {
      const digest = await new ImageClient(world.admin, OTHER).pushBlob(uniqueBytes());
      const owner = world.as('owner');
      const headers = await bearer(owner, 'repository:docker-local/uploads:pull,push');
      return [
        {
          method: 'POST',
          path: `${BASE}/blobs/uploads/?mount=${digest}&from=docker-other/app`,
          by: world.anonymous,
          options: { headers },
        },
      ];
    },
    // The owner may read it: the challenge names what to ask for instead of silently uploading everything again.
    status: [401],
    shape: 'oci',
    check: (_world, [answer]) =>
      assert.match(
        String(answer!.headers['www-authenticate']),
        /scope="repository:docker-local\/uploads:pull,push repository:docker-other\/app:pull",error="insufficient_scope"/,
      ),
  },
  {
    id: 'D44',
    name: 'harvesting digests by mounting shows nothing',
    attacks: async (world) => {
      const known = await Promise.all(
        Array.from({ length: 5 }, () => new ImageClient(world.admin, OTHER).pushBlob(uniqueBytes())),
      );
      const digests = Array.from({ length: 25 }, (_, i) => known[i % 10] ?? sha256(randomUUID()));
      return digests.map((digest) => ({
        method: 'POST',
        path: `${BASE}/blobs/uploads/?mount=${digest}`,
        by: world.as('writer'),
      }));
    },
    ...startsSession,
  },
  {
    id: 'D40',
    name: 'more open uploads than one user may have',
    attacks: async (world) => {
      const client = new ImageClient(world.as('dropper'), BASE);
      for (let i = 0; i < MAX_OPEN; i++) await client.startUpload();
      return [{ method: 'POST', path: `${BASE}/blobs/uploads/`, by: world.as('dropper') }];
    },
    status: [429, 403],
    codes: ['TOOMANYREQUESTS'],
    shape: 'oci',
    check: async (world, [answer]) => {
      assert.ok(Number(answer!.headers['retry-after']) > 0);
      const open = await world.database.kysely
        .selectFrom('upload')
        .select('id')
        .where('principal', '=', 'dropper')
        .execute();
      assert.equal((await world.as('dropper').request('DELETE', `${BASE}/blobs/uploads/${open[0]!.id}`)).status, 204);
      assert.equal((await world.as('dropper').request('POST', `${BASE}/blobs/uploads/`)).status, 202);
    },
  },
];

/** Rows whose refusals end a session, so that less stays behind than was there before. */
const ENDING: readonly Row[] = [
  {
    id: 'D32',
    endsUploads: true,
    name: 'bytes that do not have the digest end the upload',
    attacks: async (world) => {
      const client = image(world);
      const [plain, chunked] = [await client.startUpload(), await sessionOfThree(world)];
      return [
        { method: 'PUT', path: `${plain}?digest=${sha256('x')}`, options: { body: 'y' } },
        { method: 'PUT', path: `${chunked}?digest=${sha256('x')}` },
        { method: 'POST', path: `${BASE}/blobs/uploads/?digest=${sha256('x')}`, options: { body: 'y' } },
      ];
    },
    status: [400],
    codes: ['DIGEST_INVALID'],
    shape: 'oci',
    check: async (world) => {
      const open = await world.database.kysely.selectFrom('upload').select('id').execute();
      assert.deepEqual(open, []);
      assert.equal(await image(world).statusOf(`/blobs/${sha256('y')}`), 404);
    },
  },
];

const SKIPPED: readonly SkippedRow[] = [
  { row: 'D35, D38, D39', reason: 'uploads.test.ts shows cut, concurrent and repeated requests' },
  { row: 'D43: a source that was deleted and made anew', reason: 'a repository made anew has none of the old blobs' },
];

for (const storage of STORAGES) {
  const env = { ENTREPOT_UPLOADS__MAX_PER_PRINCIPAL: String(MAX_OPEN) };
  describeRows('hostile uploads', storage, ROWS, { env, skipped: SKIPPED });
  describeRows('mismatched uploads', storage, ENDING);
}
