/** How clients are set up: who is told, with what address, and what of deploying. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer, Caller } from '../../support/test-app.ts';
import { createUser, expectStatus, grant, onEachStorage, sendJson } from './api-world.ts';

interface SetMeUp {
  readonly repository: string;
  readonly type: string;
  readonly class: string;
  readonly deploys: boolean;
  readonly noDeploys?: string;
  readonly placeholders: readonly { readonly text: string; readonly meaning: string; readonly secret: boolean }[];
  readonly clients: readonly {
    readonly id: string;
    readonly steps: readonly {
      readonly purpose: string;
      readonly deploys: boolean;
      readonly snippets: readonly { readonly title: string; readonly language: string; readonly code: string }[];
    }[];
  }[];
}

const ask = (caller: Caller, key: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  caller.request('GET', `/artifactory/api/v1/repositories/${key}/set-me-up`, { headers });

async function get(caller: Caller, key: string, headers?: Readonly<Record<string, string>>): Promise<SetMeUp> {
  return (await expectStatus(ask(caller, key, headers), 200)).json() as SetMeUp;
}

const purposesOf = ({ clients }: SetMeUp) =>
  new Set(clients.flatMap(({ steps }) => steps.map(({ purpose }) => purpose)));
const codeOf = ({ clients }: SetMeUp, id?: string) =>
  clients
    .filter((client) => id === undefined || client.id === id)
    .flatMap(({ steps }) => steps.flatMap(({ snippets }) => snippets.map(({ code }) => code)))
    .join('\n');

const DOMAIN = 'registry.example.com';

onEachStorage(
  'Set Me Up',
  (world) => {
    const create = async (key: string, settings: Readonly<Record<string, unknown>>) => {
      const body = { rclass: 'local', packageType: 'npm', ...settings };
      await expectStatus(sendJson(world().app.admin, 'PUT', `/artifactory/api/repositories/${key}`, body), 200);
    };

    test('names the clients of each type, and nothing that the server cannot know', async () => {
      const expected = {
        npm: 'npm,pnpm,yarn,yarn-classic,bun',
        pypi: 'pip,uv,poetry,pipenv,twine,flit',
        helm: 'helm,cm-push',
        maven: 'maven,gradle,sbt,ivy',
        gradle: 'gradle,maven,sbt,ivy',
        sbt: 'sbt,maven,gradle,ivy',
        ivy: 'ivy,maven,gradle,sbt',
        docker: 'docker,podman,skopeo,containerd,helm,oras',
        oci: 'oras,podman,skopeo,docker,containerd,helm',
        helmoci: 'helm,oras',
        generic: 'curl,wget,jf',
        // Served as plain files, as generic ones are.
        conan: 'curl,wget,jf',
      };
      for (const [packageType, clients] of Object.entries(expected)) {
        await create(`all-${packageType}`, { packageType });
        const answer = await get(world().app.admin, `all-${packageType}`);
        assert.deepEqual([answer.type, answer.class, answer.deploys], [packageType, 'local', true]);
        assert.equal(answer.clients.map(({ id }) => id).join(), clients);
        assert.equal(answer.repository, `all-${packageType}`);
        assert.match(JSON.stringify(answer.clients), /admin/, 'the name of the caller');
        assert.deepEqual(
          answer.placeholders.filter(({ secret }) => secret).map(({ text }) => text),
          ['YOUR_TOKEN'],
        );
        assert.ok(
          answer.placeholders.every(
            ({ text }) => text === 'YOUR_TOKEN' || JSON.stringify(answer.clients).includes(text),
          ),
        );
      }
    });

    test('tells of deploying where the repository takes deploys, and otherwise says why not', async () => {
      await create('class-local', {});
      await create('class-remote', { rclass: 'remote', url: 'https://upstream.example/' });
      const members = { rclass: 'virtual', repositories: ['class-local', 'class-remote'] };
      await create('class-virtual', { ...members, defaultDeploymentRepo: 'class-local' });
      await create('class-closed', members);
      const { admin } = world().app;
      for (const key of ['class-local', 'class-virtual']) {
        const answer = await get(admin, key);
        assert.equal(answer.noDeploys, undefined);
        assert.deepEqual([...purposesOf(answer)], ['sign-in', 'configure', 'install', 'publish']);
        const steps = answer.clients.flatMap(({ steps }) => steps);
        assert.ok(steps.every(({ purpose, deploys }) => deploys === (purpose === 'publish')));
        assert.match(codeOf(answer, 'npm'), new RegExp(`/artifactory/api/npm/${key}/`));
      }
      for (const [key, reason] of [
        ['class-remote', /is remote.*takes no deploys/],
        ['class-closed', /has no default deployment repository/],
      ] as const) {
        const answer = await get(admin, key);
        assert.equal(answer.deploys, false);
        assert.match(answer.noDeploys ?? '', reason);
        assert.ok(!purposesOf(answer).has('publish'));
        assert.doesNotMatch(codeOf(answer), /publish/);
      }
    });

    test('leaves out clients that can only deploy', async () => {
      await create('read-pypi', { packageType: 'pypi', rclass: 'remote', url: 'https://upstream.example/' });
      const { clients } = await get(world().app.admin, 'read-pypi');
      assert.deepEqual(
        clients.map(({ id }) => id),
        ['pip', 'uv', 'poetry', 'pipenv'],
      );
    });

    test('tells each caller what it may do, through a virtual repository too', async () => {
      const { app } = world();
      await create('right-local', {});
      await create('right-all', {
        rclass: 'virtual',
        repositories: ['right-local'],
        defaultDeploymentRepo: 'right-local',
      });
      const [reader, writer] = [await createUser(app, 'reads'), await createUser(app, 'writes')];
      await grant(app, 'right-reads', ['right-local'], { reads: ['r'] });
      await grant(app, 'right-writes', ['right-local'], { writes: ['r', 'w'] }, 'team/**');
      for (const key of ['right-local', 'right-all']) {
        const read = await get(reader, key);
        assert.match(read.noDeploys ?? '', new RegExp(`^You may deploy nothing to "${key}"\\.`));
        assert.doesNotMatch(JSON.stringify(read), key === 'right-all' ? /right-local/ : /right-all/);
        assert.ok((await get(writer, key)).deploys, 'also who may deploy only some paths');
        assert.match(codeOf(await get(writer, key)), /which is writes|publish/);
      }
    });

    test('knows nothing for those who may not know of the repository', async () => {
      await create('hidden', {});
      const { app, ann } = world();
      const [there, missing] = [await ask(ann, 'hidden'), await ask(ann, 'hiddem')];
      assert.deepEqual([there.status, missing.status], [404, 404]);
      assert.equal(there.text.replaceAll('hidden', 'hiddem'), missing.text);
      assert.equal((await ask(app.anonymous, 'hidden')).status, 401);
      assert.equal((await ask(app.anonymous, 'hiddem')).status, 401);
    });

    test('keeps no answer for others, and answers HEAD', async () => {
      await create('kept', {});
      const { admin } = world().app;
      const answer = await ask(admin, 'kept');
      assert.equal(answer.headers['cache-control'], 'no-store');
      assert.equal((await admin.request('HEAD', '/artifactory/api/v1/repositories/kept/set-me-up')).status, 200);
    });

    test('writes the address by which the server was reached', async () => {
      await create('reached', {});
      const { app } = world();
      const registry = async (headers?: Readonly<Record<string, string>>) =>
        /registry=(\S+)\n/.exec(
          codeOf(await get(app.admin, 'reached', headers), 'npm').replace(/^npm login.*$/gm, ''),
        )?.[1];
      const path = '/artifactory/api/npm/reached/';
      assert.equal(await registry(), `http://127.0.0.1:${app.port}${path}`);
      assert.equal(await registry({ host: 'repo.example:8081' }), `http://repo.example:8081${path}`);
      assert.equal(await registry({ host: '[::1]:8081' }), `http://[::1]:8081${path}`);
      // The sender is not said to be a proxy.
      const forwarded = { host: 'inner:1', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'outer.example' };
      assert.equal(await registry(forwarded), `http://inner:1${path}`);
      assert.equal((await ask(app.admin, 'reached', { host: 'a"b' })).status, 400);
    });

    test('names images by the path, and by the names that are bound to the repository', async () => {
      await create('docker-set-up', { packageType: 'docker' });
      const { admin } = world().app;
      const pulls = async (host: string) => {
        const answer = await get(admin, 'docker-set-up', { host });
        const { steps } = answer.clients.find(({ id }) => id === 'docker') ?? assert.fail();
        const snippets = steps.find(({ purpose }) => purpose === 'install')?.snippets ?? [];
        return snippets.flatMap(({ code }) => code.trim().replace('docker pull ', '').split('\n'));
      };
      const image = 'IMAGE_NAME:IMAGE_TAG';
      const bound = [`images.example.net/${image}`, `docker-set-up.${DOMAIN}/${image}`];
      assert.deepEqual(await pulls('any.example'), [`any.example/docker-set-up/${image}`, ...bound]);
      assert.deepEqual(await pulls('images.example.net'), bound);
      assert.deepEqual(await pulls(`docker-set-up.${DOMAIN}`), bound.toReversed());
      assert.deepEqual(await pulls(`other.${DOMAIN}`), bound);
      // Without a dot or a port it would be taken for the beginning of the image's name.
      assert.equal((await pulls('machine'))[0], `machine:80/docker-set-up/${image}`);
      assert.equal((await pulls('LOCALHOST:99'))[0], `LOCALHOST:99/docker-set-up/${image}`);
    });

    test('stands in the description of the API', async () => {
      const answer = await expectStatus(world().app.admin.request('GET', '/artifactory/api/openapi.json'), 200);
      const { paths } = answer.json() as { paths: Record<string, object> };
      assert.ok(paths['/artifactory/api/v1/repositories/{key}/set-me-up']);
    });
  },
  { ENTREPOT_DOCKER__DOMAIN: DOMAIN, ENTREPOT_DOCKER__HOSTS: 'images.example.net=docker-set-up' },
);

onEachStorage(
  'Set Me Up behind a proxy',
  (world) => {
    test('writes the address that clients know the proxy by', async () => {
      const { app, ann } = world();
      await grant(app, 'proxied', ['generic-local'], { ann: ['r', 'w'] });
      const url = async (headers: Readonly<Record<string, string>>) =>
        /'?(https?:\/\/[^/]+)\/artifactory\/generic-local/.exec(
          codeOf(await get(ann, 'generic-local', headers), 'curl'),
        )?.[1];
      const forwarded = { host: 'inner:1', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'outer.example' };
      assert.equal(await url(forwarded), 'https://outer.example');
      assert.equal(await url({ ...forwarded, 'x-forwarded-port': '8443' }), 'https://outer.example:8443');
      const override = { ...forwarded, 'x-jfrog-override-base-url': 'https://named.example/artifactory' };
      assert.equal(await url(override), 'https://named.example');
    });

    test('shows those who did not sign in what they may read, and what to sign in for', async () => {
      const { app } = world();
      await grant(app, 'public', ['generic-local'], { anonymous: ['r'] });
      const answer = await get(app.anonymous, 'generic-local');
      assert.equal(answer.deploys, false);
      assert.match(answer.noDeploys ?? '', /sign in/);
      assert.match(codeOf(answer, 'curl'), /YOUR_USER_NAME:YOUR_TOKEN/);
      assert.deepEqual(
        answer.placeholders.map(({ text }) => text),
        ['YOUR_TOKEN', 'YOUR_USER_NAME', 'FOLDER_NAME', 'FILE_NAME'],
      );
      assert.equal((await ask(app.anonymous, 'no-such')).status, 401);
    });
  },
  { ENTREPOT_HTTP__TRUSTED_PROXIES: '127.0.0.1/32', ENTREPOT_SECURITY__ANONYMOUS_ACCESS: 'true' },
);

onEachStorage(
  'Set Me Up with an address of its own',
  (world) => {
    test('writes the configured address, however the server was reached', async () => {
      const answer = await get(world().app.admin, 'generic-local', { host: 'elsewhere' });
      assert.match(codeOf(answer), /https:\/\/repo\.example\.com\/artifactory\/generic-local/);
      assert.doesNotMatch(codeOf(answer), /elsewhere/);
    });
  },
  { ENTREPOT_HTTP__BASE_URL: 'https://repo.example.com' },
);
