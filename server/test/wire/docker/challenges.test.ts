/** Who is asked for credentials, and in which words; who is refused, and who is not told that anything is there. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createToken } from '../../../src/auth/account-tokens.ts';
import { SYSTEM } from '../../../src/auth/accounts.ts';
import { codeOf, type Image, ImageClient, makeImage, sha256, TYPES, uniqueBytes } from '../../support/oci.ts';
import type { Answer, Caller } from '../../support/test-app.ts';
import { grant, startWorld, type World } from '../../support/wire-world.ts';

const BASE = '/v2/docker-local/app';
const DIGEST = sha256('nothing');

/** Each kind of request, and the scope that allows it. */
const KINDS: readonly (readonly [method: string, path: string, scope: string | undefined])[] = [
  ['GET', '/v2/', undefined],
  ['HEAD', '/v2/', undefined],
  ['GET', `${BASE}/manifests/v1`, 'repository:docker-local/app:pull'],
  ['HEAD', `${BASE}/manifests/v1`, 'repository:docker-local/app:pull'],
  ['GET', `${BASE}/blobs/${DIGEST}`, 'repository:docker-local/app:pull'],
  ['HEAD', `${BASE}/blobs/${DIGEST}`, 'repository:docker-local/app:pull'],
  ['GET', `${BASE}/tags/list`, 'repository:docker-local/app:pull'],
  ['GET', `${BASE}/referrers/${DIGEST}`, 'repository:docker-local/app:pull'],
  ['POST', `${BASE}/blobs/uploads/`, 'repository:docker-local/app:pull,push'],
  ['POST', `${BASE}/blobs/uploads`, 'repository:docker-local/app:pull,push'],
  ['PATCH', `${BASE}/blobs/uploads/x`, 'repository:docker-local/app:pull,push'],
  ['PUT', `${BASE}/blobs/uploads/x?digest=${DIGEST}`, 'repository:docker-local/app:pull,push'],
  ['GET', `${BASE}/blobs/uploads/x`, 'repository:docker-local/app:pull,push'],
  ['DELETE', `${BASE}/blobs/uploads/x`, 'repository:docker-local/app:pull,push'],
  ['PUT', `${BASE}/manifests/v1`, 'repository:docker-local/app:pull,push'],
  ['DELETE', `${BASE}/manifests/v1`, 'repository:docker-local/app:delete'],
  ['DELETE', `${BASE}/blobs/${DIGEST}`, 'repository:docker-local/app:delete'],
  ['GET', '/v2/_catalog', 'registry:catalog:*'],
  ['GET', '/v2/docker-none/x/manifests/v1', 'repository:docker-none/x:pull'],
];

interface Challenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** The two challenges, which must come in header lines of their own. */
function challengesOf(answer: Answer): Challenge[] {
  // Node joins lines of this header with a comma and a space; inside one line there is no such pair.
  return String(answer.headers['www-authenticate'])
    .split(', ')
    .map((line) => {
      const [, scheme = '', rest = ''] = /^(\w+) (.*)$/.exec(line) ?? [];
      const parameters = Object.fromEntries(
        [...rest.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
      );
      assert.match(rest, /^(\w+="[^"]*",?)+$/, 'every value is quoted');
      return { scheme, parameters };
    });
}

describe('challenges', () => {
  let world: World;
  let image: Image;
  let accessToken = '';
  let referenceToken = '';
  before(async () => {
    world = await startWorld('sqlite-fs', {
      async prepare(core) {
        const made = await createToken(core.accounts, { userName: 'owner', reference: true }, SYSTEM);
        accessToken = made.accessToken!;
        referenceToken = made.referenceToken!;
        await grant(
          core,
          'part',
          ['docker-local'],
          [{ kind: 'user', name: 'other', actions: ['read', 'deploy'] }],
          ['team/**'],
        );
      },
    });
    image = makeImage();
    await new ImageClient(world.admin, BASE).push('v1', image);
  });
  after(() => world.stop());

  const bearer = async (caller: Caller, scope: string) => {
    const answer = await caller.request('GET', `/v2/token?scope=${encodeURIComponent(scope)}`);
    assert.equal(answer.status, 200, answer.text);
    return { authorization: `Bearer ${(answer.json() as { token: string }).token}` };
  };

  for (const [method, path, scope] of KINDS) {
    test(`${method} ${path.replace(DIGEST, '<digest>')} without credentials is asked for ${scope ?? 'no scope'}`, async () => {
      const answer = await world.anonymous.request(method, path);
      assert.equal(answer.status, 401);
      assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0');
      if (method !== 'HEAD') assert.equal(codeOf(answer), 'UNAUTHORIZED');
      const [first, second] = challengesOf(answer);
      assert.deepEqual(first, {
        scheme: 'Bearer',
        parameters: {
          realm: `${world.app.url}/v2/token`,
          service: `127.0.0.1:${world.app.port}`,
          ...(scope !== undefined && { scope }),
        },
      });
      assert.deepEqual(second, { scheme: 'Basic', parameters: { realm: 'Artifactory Realm' } });
    });
  }

  test('a token that is none is called invalid, a good one that does not suffice insufficient', async () => {
    for (const authorization of ['Bearer garbage', 'Bearer eyJ.a.b', 'Basic bm9ib2R5Ondyb25n']) {
      const [challenge] = challengesOf(
        await world.anonymous.request('GET', `${BASE}/manifests/v1`, { headers: { authorization } }),
      );
      assert.equal(challenge!.parameters['error'], 'invalid_token');
      assert.equal(challenge!.parameters['scope'], 'repository:docker-local/app:pull');
    }
    const headers = await bearer(world.as('writer'), 'repository:docker-local/app:pull');
    const [challenge] = challengesOf(await world.anonymous.request('POST', `${BASE}/blobs/uploads/`, { headers }));
    assert.equal(challenge!.parameters['error'], 'insufficient_scope');
    assert.equal(challenge!.parameters['scope'], 'repository:docker-local/app:pull,push');
  });

  test('a token asked for another image is insufficient for whatever is read here', async () => {
    const elsewhere = await bearer(world.as('owner'), 'repository:docker-local/elsewhere:pull,push');
    const none = await bearer(world.as('owner'), 'repository:docker-local/app');
    for (const headers of [elsewhere, none]) {
      for (const rest of [
        'manifests/v1',
        `manifests/${image.digest}`,
        `blobs/${sha256(image.config)}`,
        'tags/list',
        `referrers/${DIGEST}`,
      ]) {
        const answer = await world.anonymous.request('GET', `${BASE}/${rest}`, { headers });
        assert.equal(answer.status, 401, rest);
        const [challenge] = challengesOf(answer);
        assert.equal(challenge!.parameters['error'], 'insufficient_scope');
        assert.equal(challenge!.parameters['scope'], 'repository:docker-local/app:pull');
      }
      assert.equal((await world.anonymous.request('GET', '/v2/', { headers })).status, 200);
    }
  });

  test('every endpoint takes Basic, registry tokens, access tokens, reference tokens and API key headers', async () => {
    const owner = world.as('owner');
    const scope = 'repository:docker-local/app:pull,push,delete repository:docker-local/every:pull,push,delete';
    const headers: readonly Record<string, string>[] = [
      { authorization: owner.authorization! },
      await bearer(owner, scope),
      { authorization: `Bearer ${accessToken}` },
      { authorization: `Bearer ${referenceToken}` },
      { authorization: `Basic ${Buffer.from(`owner:${accessToken}`).toString('base64')}` },
      { authorization: `Basic ${Buffer.from(`token:${referenceToken}`).toString('base64')}` },
      { authorization: `Basic ${Buffer.from(`:${referenceToken}`).toString('base64')}` },
      { 'x-jfrog-art-api': accessToken },
      { 'x-jfrog-art-api': referenceToken },
    ];
    for (const [i, one] of headers.entries()) {
      const caller: Caller = {
        authorization: undefined,
        request: (method, path, options) =>
          world.anonymous.request(method, path, { ...options, headers: { ...options?.headers, ...one } }),
      };
      assert.equal((await caller.request('GET', '/v2/')).status, 200);
      const client = new ImageClient(caller, '/v2/docker-local/every');
      const made = makeImage();
      const session = await client.startUpload();
      assert.equal((await caller.request('DELETE', session)).status, 204);
      await client.push(`v${i}`, made);
      assert.equal(await client.statusOf(`/manifests/v${i}`), 200);
      assert.equal(await client.statusOf('/tags/list'), 200);
      assert.equal(await client.statusOf(`/referrers/${made.digest}`), 200);
      assert.equal((await client.request('DELETE', `/manifests/${made.digest}`)).status, 202);
    }
  });

  test('a user who may only read is denied to push, to mount and to delete, and told why', async () => {
    const reader = new ImageClient(world.as('reader'), BASE);
    assert.equal(await reader.statusOf('/manifests/v1'), 200);
    const refusals = [
      await reader.request('POST', '/blobs/uploads/'),
      await reader.request('POST', `/blobs/uploads/?digest=${DIGEST}`, { body: 'x' }),
      await reader.request('POST', `/blobs/uploads/?mount=${sha256(image.config)}&from=docker-local/app`),
      await reader.putManifest('v2', image.bytes),
      await reader.putManifest('v1', image.bytes),
      await reader.request('DELETE', '/manifests/v1'),
      await reader.request('DELETE', `/manifests/${image.digest}`),
    ];
    for (const answer of refusals) {
      assert.equal(answer.status, 403, answer.text);
      assert.equal(codeOf(answer), 'DENIED');
      assert.match(answer.text, /may not (deploy|delete)/);
    }
  });

  test('a user who may deploy but not read pushes and does not pull', async () => {
    const dropper = new ImageClient(world.as('dropper'), '/v2/docker-local/dropped');
    await dropper.push('v1', makeImage());
    assert.equal(await dropper.statusOf('/manifests/v1'), 404);
    assert.equal(await dropper.statusOf('/tags/list'), 404);
  });

  test('a user without any right learns nothing: what is there is answered as what is not', async () => {
    const outsider = world.as('outsider');
    for (const rest of ['manifests/v1', `manifests/${image.digest}`, `blobs/${sha256(image.config)}`, 'tags/list']) {
      const [there, not] = await Promise.all([
        outsider.request('GET', `${BASE}/${rest}`),
        outsider.request('GET', `/v2/docker-none/app/${rest}`),
      ]);
      assert.equal(there.status, 404);
      assert.equal(codeOf(there), 'NAME_UNKNOWN');
      assert.equal(there.text.replaceAll('docker-local', '*'), not.text.replaceAll('docker-none', '*'));
    }
    const push = await outsider.request('POST', `${BASE}/blobs/uploads/`);
    assert.ok([403, 404].includes(push.status));
    assert.deepEqual((await outsider.request('GET', '/v2/_catalog')).json(), { repositories: [] });
  });

  test('a user with rights below one folder finds the rest not there', async () => {
    const other = world.as('other');
    const mine = new ImageClient(other, '/v2/docker-local/team/app');
    await mine.push('v1', makeImage());
    assert.equal(await mine.statusOf('/manifests/v1'), 200);
    assert.equal(await new ImageClient(other, BASE).statusOf('/manifests/v1'), 404);
    assert.equal(await new ImageClient(other, BASE).statusOf(`/blobs/${sha256(image.config)}`), 404);
    assert.equal((await other.request('POST', `${BASE}/blobs/uploads/`)).status, 403);
    const { repositories } = (await other.request('GET', '/v2/_catalog')).json() as { repositories: string[] };
    assert.ok(repositories.includes('docker-local/team/app'));
    assert.ok(!repositories.includes('docker-local/app'));
  });

  test('a token gives no more than its holder has by now', async () => {
    const headers = await bearer(world.as('reader'), 'repository:docker-local/app:pull,push');
    const put = await world.anonymous.request('PUT', `${BASE}/manifests/v9`, {
      body: image.bytes,
      headers: { ...headers, 'content-type': TYPES.manifest },
    });
    assert.equal(put.status, 401);
    assert.equal((await world.anonymous.request('GET', `${BASE}/manifests/v1`, { headers })).status, 200);
  });
});

describe('anonymous access', () => {
  let world: World;
  let image: Image;
  before(async () => {
    world = await startWorld('sqlite-fs', {
      env: { ENTREPOT_SECURITY__ANONYMOUS_ACCESS: 'true' },
      prepare: (core) =>
        grant(
          core,
          'public',
          ['docker-local'],
          [{ kind: 'user', name: 'anonymous', actions: ['read'] }],
          ['public/**'],
        ),
    });
    image = makeImage();
    await new ImageClient(world.admin, '/v2/docker-local/public/app').push('v1', image);
    await new ImageClient(world.admin, '/v2/docker-local/private/app').push('v1', image);
  });
  after(() => world.stop());

  test('the ping asks for credentials all the same, so that clients learn where tokens are', async () => {
    assert.equal((await world.anonymous.request('GET', '/v2/')).status, 401);
  });

  test('anybody gets a token, which pulls what is public and passes the ping', async () => {
    const scope = 'repository:docker-local/public/app:pull repository:docker-local/private/app:pull';
    const answer = await world.anonymous.request('GET', `/v2/token?scope=${encodeURIComponent(scope)}`);
    assert.equal(answer.status, 200);
    const { token, scope: granted } = answer.json() as { token: string; scope: string };
    assert.equal(granted, 'repository:docker-local/public/app:pull');
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await world.anonymous.request('GET', '/v2/', { headers })).status, 200);
    for (const rest of ['manifests/v1', `manifests/${image.digest}`, `blobs/${sha256(image.config)}`, 'tags/list']) {
      assert.equal(
        (await world.anonymous.request('GET', `/v2/docker-local/public/app/${rest}`, { headers })).status,
        200,
      );
      assert.equal(
        (await world.anonymous.request('GET', `/v2/docker-local/private/app/${rest}`, { headers })).status,
        401,
      );
    }
  });

  test('what is public can be pulled without a token too, and what is missing there is not found', async () => {
    const nobody = new ImageClient(world.anonymous, '/v2/docker-local/public/app');
    assert.equal(await nobody.statusOf('/manifests/v1'), 200);
    const missing = await nobody.request('GET', '/manifests/none');
    assert.equal(missing.status, 404);
    assert.equal(codeOf(missing), 'MANIFEST_UNKNOWN');
  });

  test('nobody pushes without credentials, and is asked for them', async () => {
    const nobody = new ImageClient(world.anonymous, '/v2/docker-local/public/app');
    for (const answer of [
      await nobody.request('POST', '/blobs/uploads/'),
      await nobody.putManifest('v2', image.bytes),
      await nobody.request('DELETE', '/manifests/v1'),
      await nobody.request('POST', `/blobs/uploads/?digest=${DIGEST}`, { body: uniqueBytes() }),
    ]) {
      assert.equal(answer.status, 401);
    }
  });
});
