/** Listings asked for in odd ways: rows D45 to D50 of the catalogue of bad inputs. */
import assert from 'node:assert/strict';
import { parseRepoKey } from '../../../src/core/ids.ts';
import { createRepository } from '../../../src/db/repositories.ts';
import type { Core } from '../../../src/state.ts';
import { type Attack, describeRows, type Row } from '../../support/hostile.ts';
import { ImageClient, makeImage, sha256, TYPES } from '../../support/oci.ts';
import { STORAGES } from '../../support/test-app.ts';
import type { World } from '../../support/wire-world.ts';

const BASE = '/v2/docker-local/lists';
const MANY = 500;

const image = ({ admin }: World) => new ImageClient(admin, BASE);
const gets = (paths: readonly string[]): readonly Attack[] => paths.map((path) => ({ method: 'GET', path }));

/** An image under tags, so that there is something to list. */
async function tagged(world: World, ...tags: readonly string[]) {
  const made = makeImage();
  for (const tag of tags) await image(world).push(tag, made);
  return made;
}

const BAD_SIZES = ['-1', 'abc', '1e3', '1.5', '0x10', '+1', '%201', '', '1%09', 'NaN', 'Infinity'];
const ROWS: readonly Row[] = [
  {
    id: 'D45',
    name: 'page sizes that are none',
    attacks: async (world) => {
      await tagged(world, 'd45');
      return gets(
        BAD_SIZES.flatMap((n) => [
          `${BASE}/tags/list?n=${n}`,
          `/v2/_catalog?n=${n}`,
          `/artifactory/api/docker/docker-local/v2/_catalog?n=${n}`,
        ]),
      );
    },
    status: [400],
    codes: ['PAGINATION_NUMBER_INVALID'],
    shape: 'oci',
  },
  {
    id: 'D45',
    name: 'huge pages of tags are as large as pages get',
    attacks: async (world) => {
      await tagged(world, 'd45');
      return gets(['10001', '99999999999999999999'].map((n) => `${BASE}/tags/list?n=${n}`));
    },
    status: [200],
    shape: 'oci',
  },
  {
    id: 'D46',
    name: 'pages of nothing',
    attacks: async (world) => {
      await tagged(world, 'd46');
      return gets([
        `${BASE}/tags/list?n=0`,
        '/v2/_catalog?n=0',
        '/artifactory/api/docker/docker-local/v2/_catalog?n=0',
      ]);
    },
    status: [200],
    shape: 'oci',
    check: (_world, answers) => {
      for (const { headers, text } of answers) {
        assert.equal(headers['link'], undefined);
        assert.match(text, /"(tags|repositories)":\[\]/);
      }
    },
  },
  {
    id: 'D47',
    name: 'cursors that are long or mean something to SQL',
    attacks: async (world) => {
      await tagged(world, 'd47');
      return gets(
        [
          'x'.repeat(7000),
          'x'.repeat(1025),
          '%25',
          '%25%25',
          '_',
          "'%20or%201=1--",
          '%0a',
          '%F0%9F%98%80',
          '%ff',
          '%',
          'x'.repeat(10_000),
        ].flatMap((last) => [`${BASE}/tags/list?last=${last}`, `/v2/_catalog?last=${last}`]),
      );
    },
    status: [200, 400, 414],
    shape: 'oci',
  },
  {
    id: 'D47',
    name: 'a per cent sign or underscore is no wild card',
    attacks: async (world) => {
      await tagged(world, 'd47');
      return gets([`${BASE}/tags/list?last=zz%25`, `${BASE}/tags/list?last=zz_`]);
    },
    status: [200],
    shape: 'oci',
    check: (_world, answers) => {
      for (const { text } of answers) assert.match(text, /"tags":\[\]/);
    },
  },
  {
    id: 'D48',
    name: 'huge pages of the catalogue',
    attacks: () => gets(['1001', '1000000000', '99999999999999999999'].map((n) => `/v2/_catalog?n=${n}`)),
    status: [400],
    codes: ['PAGINATION_NUMBER_INVALID'],
    shape: 'oci',
  },
  {
    id: 'D49',
    name: `the catalogue of a user who may read one of ${MANY} repositories`,
    attacks: async (world) => {
      await new ImageClient(world.admin, '/v2/docker-other/only').push('latest', makeImage());
      await tagged(world, 'd49');
      const warm = world.as('other');
      await warm.request('GET', '/v2/_catalog');
      return [{ method: 'GET', path: '/v2/_catalog', by: warm }];
    },
    status: [200],
    shape: 'oci',
    withinMs: 500,
    check: (_world, [answer]) => assert.deepEqual(JSON.parse(answer!.text), { repositories: ['docker-other/only'] }),
  },
  {
    id: 'D50',
    name: 'referrers of what is no digest',
    attacks: () =>
      gets(
        ['sha256:zz', 'latest', 'md5:aa', `sha256:${'A'.repeat(64)}`].map((digest) => `${BASE}/referrers/${digest}`),
      ),
    status: [400],
    codes: ['DIGEST_INVALID'],
    shape: 'oci',
  },
  {
    id: 'D50',
    name: 'referrers of an unknown digest, also in an unknown image, and with odd cursors',
    attacks: () =>
      gets([
        `${BASE}/referrers/${sha256('unknown')}`,
        `/v2/docker-local/never/pushed/referrers/${sha256('unknown')}`,
        ...['-1', 'x', '1e99', '0', '%27'].map((after) => `${BASE}/referrers/${sha256('unknown')}?after=${after}`),
      ]),
    status: [200],
    shape: 'oci',
    check: (_world, answers) => {
      for (const { text, headers } of answers) {
        assert.deepEqual(JSON.parse(text), { schemaVersion: 2, mediaType: TYPES.index, manifests: [] });
        assert.equal(headers['content-type'], TYPES.index);
      }
    },
  },
];

/** Repositories that nobody but the administrator may read. */
async function prepare(core: Core): Promise<void> {
  await core.database.transaction(async (tx) => {
    for (let i = 0; i < MANY; i++) {
      const key = parseRepoKey(`many-${i}`);
      await createRepository(tx, { key, rclass: 'local', packageType: 'docker', config: {} }, Date.now());
    }
  });
}

for (const storage of STORAGES) describeRows('hostile lists', storage, ROWS, { prepare });
