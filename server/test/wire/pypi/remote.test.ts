/** Remote repositories of indexes as there are: files at another host, pages only, and those that say what is not so. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import {
  indexOf,
  JSON_TYPE,
  pathOf,
  readProject,
  type Sample,
  sdistOf,
  sha256,
  upload,
  wheelOf,
} from '../../formats/pypi-samples.ts';
import { STORAGES } from '../../support/test-app.ts';
import type { World } from '../../support/wire-world.ts';
import { startPypi } from './pypi-world.ts';

/** Two hosts: one has the index, the other the files. */
class FakeIndex {
  readonly #servers: Server[] = [];
  /** What is answered, by host and path. */
  readonly pages = new Map<string, { type?: string; body: string | Buffer; status?: number }>();
  readonly asked: string[] = [];
  index = '';
  files = '';

  async start(): Promise<void> {
    this.index = await this.#listen('index');
    this.files = await this.#listen('files');
  }

  async #listen(host: string): Promise<string> {
    const server = createServer((request: IncomingMessage, response) => {
      const name = `${host}${request.url ?? ''}`;
      this.asked.push(`${request.method} ${name}`);
      const page = this.pages.get(name);
      response.statusCode = page ? (page.status ?? 200) : 404;
      response.setHeader('Content-Type', page?.type ?? 'application/octet-stream');
      const body = Buffer.from(page?.body ?? '');
      response.setHeader('Content-Length', body.length);
      response.end(request.method === 'HEAD' ? undefined : body);
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  addFile(path: string, bytes: Buffer | string): string {
    this.pages.set(`files/${path}`, { body: bytes });
    return `${this.files}/${path}`;
  }

  addProject(name: string, files: readonly object[]): void {
    const body = JSON.stringify({ meta: { 'api-version': '1.1' }, name, versions: [], files });
    this.pages.set(`index/simple/${name}/`, { type: JSON_TYPE, body });
  }

  addPage(name: string, body: string): void {
    this.pages.set(`index/simple/${name}/`, { type: 'text/html', body });
  }

  stop(): void {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
  }
}

for (const storage of STORAGES) {
  describe(`remote PyPI repositories on ${storage}`, () => {
    const up = new FakeIndex();
    let world: World;
    let wheel: Sample;
    const KEY = 'py-remote';
    before(async () => {
      await up.start();
      world = await startPypi(storage, { env: { ENTREPOT_REMOTES__ALLOWED_ADDRESSES: '127.0.0.0/8' } });
      wheel = await wheelOf({ name: 'there', version: '1.0' });
      const body = { rclass: 'remote', packageType: 'pypi', url: up.files, pyPIRegistryUrl: up.index };
      const answer = await world.admin.request('PUT', `/artifactory/api/repositories/${KEY}`, {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      assert.equal(answer.status, 200, answer.text);
    });
    after(async () => {
      await world?.stop();
      up.stop();
    });
    const get = (path: string, headers: Record<string, string> = {}) => world.admin.request('GET', path, { headers });
    const packages = `/artifactory/api/pypi/${KEY}/packages`;

    test('files come from the host that the index names, under its paths', async () => {
      const path = `packages/ab/cd/${'e'.repeat(60)}/${wheel.filename}`;
      const url = up.addFile(path, wheel.bytes);
      up.addFile(`${path}.metadata`, wheel.metadata);
      const provenance = `${up.index}/integrity/there/1.0/x/provenance`;
      up.pages.set('index/integrity/there/1.0/x/provenance', { body: '{"version":1,"attestation_bundles":[]}' });
      const hashes = { sha256: sha256(wheel.bytes) };
      const metadata = { sha256: sha256(wheel.metadata) };
      up.addProject('there', [
        { filename: wheel.filename, url, hashes, size: wheel.bytes.length, 'core-metadata': metadata, provenance },
      ]);
      const [file] = (await readProject(world.admin, KEY, 'there')).files;
      assert.equal(file?.url, `../../packages/${path}`);
      assert.doesNotMatch(JSON.stringify(file), new RegExp(new URL(up.files).host));
      const told = await get(new URL(file!.provenance!).pathname);
      assert.deepEqual(told.json(), { version: 1, attestation_bundles: [] });
      // The metadata is asked for by itself: nobody needs the wheel yet.
      assert.equal((await get(`${packages}/${path}.metadata`)).text, wheel.metadata);
      assert.ok(!up.asked.includes(`GET files/${path}`));
      assert.deepEqual((await get(`${packages}/${path}`)).bytes, wheel.bytes);
      assert.deepEqual((await get(`${packages}/${path.slice('packages/'.length)}`)).bytes, wheel.bytes);
      assert.deepEqual((await get(`/artifactory/${KEY}/${path}`)).bytes, wheel.bytes);
      assert.equal(up.asked.filter((line) => line === `GET files/${path}`).length, 1);
      const page = await get(`/artifactory/${KEY}/.pypi/there/there.html`);
      assert.match(page.text, /href="http:[^"]+packages\/ab\/cd\//);
    });

    test('pages are read where there is no JSON, with links to anywhere', async () => {
      const sdist = await sdistOf({ name: 'paged', version: '2.0', requiresPython: '>=3.8' });
      const url = up.addFile(`dl/${sdist.filename}`, sdist.bytes);
      const anchors = [
        `<a href="${url}#sha256=${sha256(sdist.bytes)}" data-requires-python="&gt;=3.8" data-yanked="old">x</a>`,
        '<a href="javascript:alert(1)">paged-3.0.tar.gz</a>',
        '<a href="../other/other-1.0.tar.gz">other-1.0.tar.gz</a>',
        '<a href="ftp://127.0.0.1/paged-4.0.tar.gz">paged-4.0.tar.gz</a>',
      ];
      up.addPage('paged', `<html><body>${anchors.join('')}</body></html>`);
      const { files } = await readProject(world.admin, KEY, 'paged');
      assert.deepEqual(
        files.map(({ filename, yanked, 'requires-python': python }) => [filename, yanked, python]),
        [[sdist.filename, 'old', '>=3.8']],
      );
      assert.deepEqual((await get(pathOf(KEY, 'paged', files[0]!.url))).bytes, sdist.bytes);
    });

    test('other bytes than the index says are refused, and not kept', async () => {
      const liar = await wheelOf({ name: 'liar', version: '1.0' });
      const url = up.addFile(`p/${liar.filename}`, liar.bytes);
      up.addProject('liar', [{ filename: liar.filename, url, hashes: { sha256: '0'.repeat(64) } }]);
      const [file] = (await readProject(world.admin, KEY, 'liar')).files;
      for (let i = 0; i < 2; i++) {
        const answer = await get(pathOf(KEY, 'liar', file!.url)).catch((error: unknown) => error);
        // Where bytes were on their way already, the connection is cut before the last of them.
        if (!(answer instanceof Error)) assert.equal((answer as { status: number }).status, 502);
      }
      assert.equal((await get(`/artifactory/api/storage/${KEY}-cache/p/${liar.filename}`)).status, 404);
    });

    test('what no index lists is not asked for', async () => {
      up.addFile('secret/hidden-1.0.tar.gz', 'secret');
      up.addProject('hidden', []);
      for (const path of ['secret/hidden-1.0.tar.gz', 'secret/there-1.0.tar.gz', 'secret/file.txt', '../secret/x']) {
        const { status } = await get(`${packages}/${path}`);
        assert.ok(status === 404 || status === 400, `${path}: ${status}`);
      }
      assert.deepEqual(
        up.asked.filter((line) => line.includes('secret')),
        [],
      );
    });

    test('what is no index is the fault of the upstream, what it has not is not there', async () => {
      up.pages.set('index/simple/broken/', { type: JSON_TYPE, body: '{"files": 7}' });
      const broken = await get(`${indexOf(KEY)}broken/`);
      assert.equal(broken.status, 502);
      assert.match(broken.text, /upstream of "py-remote".*has no list "files"/);
      assert.equal((await get(`${indexOf(KEY)}nothing/`)).status, 404);
      const before = up.asked.length;
      assert.equal((await get(`${indexOf(KEY)}nothing/`)).status, 404);
      assert.equal(up.asked.length, before);
    });

    test('the list of projects is that of the upstream', async () => {
      up.pages.set('index/simple/', {
        type: JSON_TYPE,
        body: JSON.stringify({ projects: [{ name: 'Zeta' }, { name: 'alpha' }] }),
      });
      const answer = await get(indexOf(KEY), { accept: JSON_TYPE });
      const { projects } = answer.json() as { projects: { name: string }[] };
      assert.deepEqual(
        projects.map(({ name }) => name),
        ['alpha', 'zeta'],
      );
    });

    test('uploads, yanking and reading again are refused with a sentence', async () => {
      for (const [method, path] of [
        ['POST', `/artifactory/api/pypi/${KEY}/reindex`],
        ['PUT', `/artifactory/api/pypi/${KEY}/yank/there/1.0`],
      ] as const) {
        const answer = await world.admin.request(method, path);
        assert.deepEqual([answer.status, /^"py-remote" is /.test(answer.text)], [405, true]);
      }
    });

    test('a project of a local repository is not asked of the index', async () => {
      const local = await wheelOf({ name: 'own', version: '1.0' });
      await upload(world.admin, 'py-local', local);
      const evil = await wheelOf({ name: 'own', version: '9.0' });
      const url = up.addFile(`packages/${evil.filename}`, evil.bytes);
      up.addProject('own', [{ filename: evil.filename, url, hashes: { sha256: sha256(evil.bytes) } }]);
      const body = { rclass: 'virtual', packageType: 'pypi', repositories: ['py-local', KEY] };
      const made = await world.admin.request('PUT', '/artifactory/api/repositories/py-guarded', {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...body, localNameShadowing: 'enforce' }),
      });
      assert.equal(made.status, 200, made.text);
      assert.deepEqual((await readProject(world.admin, 'py-guarded', 'own')).versions, ['1.0']);
      const path = `/artifactory/api/pypi/py-guarded/packages/packages/${evil.filename}`;
      assert.equal((await get(path)).status, 404);
      assert.equal((await get(`${path}.metadata`)).status, 404);
      assert.deepEqual(
        up.asked.filter((line) => line.includes('own')),
        [],
      );
      assert.deepEqual((await readProject(world.admin, 'py-guarded', 'there')).versions, ['1.0']);
    });
  });
}
