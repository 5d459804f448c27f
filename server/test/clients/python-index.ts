import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fieldsOf, formOf, type Sample, type SampleOptions, sdistOf, wheelOf } from '../formats/pypi-samples.ts';
import type { Client } from './client-suite.ts';
import { ServerFacts } from './server-facts.ts';
import { type ServerUnderTest, startServer } from './server-under-test.ts';
import { parseTarget } from './target.ts';

const PASSWORD = 'Blue-teapot-17';

let upstreamServer: Promise<ServerUnderTest> | undefined;

/** A second server, of which the one under test fetches; the same for all suites of a file. */
function sharedUpstream(): Promise<ServerUnderTest> {
  upstreamServer ??= startServer('sqlite-fs', 'clients-python-upstream');
  return upstreamServer;
}

/** Ends the second server, if any suite needed it. */
export async function stopUpstream(): Promise<void> {
  await (await upstreamServer)?.[Symbol.asyncDispose]();
}

/**
 * A virtual repository of one suite over a local one, to which it deploys, and over a remote one whose upstream is on
 * another server; and a person who may publish but not overwrite.
 */
export class PythonIndex {
  readonly server: ServerFacts;
  readonly key: string;
  readonly user: string;
  readonly password = PASSWORD;
  readonly #client: Client;
  #upstream: ServerFacts | undefined;

  constructor(client: Client, name: string) {
    this.#client = client;
    this.server = new ServerFacts(client.target);
    this.key = `py-${name}-${randomBytes(3).toString('hex')}`;
    this.user = `${this.key}-user`;
  }

  async create(): Promise<void> {
    const packageType = 'pypi';
    const [local, remote] = this.#members;
    const target = parseTarget((await sharedUpstream()).targetUrl);
    const upstream = new ServerFacts(target);
    this.#upstream = upstream;
    await upstream.createRepository(this.key, { packageType });
    await this.server.createRepository(local, { packageType });
    const { username, password } = target;
    const url = `${upstream.root}/api/pypi/${this.key}`;
    await this.server.createRepository(remote, { packageType, rclass: 'remote', url, username, password });
    const repositories = [local, remote];
    const virtual = { packageType, rclass: 'virtual', repositories, defaultDeploymentRepo: local };
    await this.server.createRepository(this.key, virtual);
    const user = { email: 'user@example.com', password: PASSWORD, admin: false };
    const created = await this.server.ask('PUT', `api/security/users/${this.user}`, user);
    assert.equal(created.status, 201, await created.text());
    const permission = { repositories: this.#members, principals: { users: { [this.user]: ['r', 'w', 'n'] } } };
    const granted = await this.server.ask('PUT', `api/security/permissions/${this.key}`, permission);
    assert.ok(granted.status < 300, await granted.text());
  }

  async remove(): Promise<void> {
    await this.server.ask('DELETE', `api/security/permissions/${this.key}`);
    await this.server.ask('DELETE', `api/security/users/${this.user}`);
    await this.server.deleteRepositories(this.key, ...this.#members.toReversed());
  }

  get #members(): [local: string, remote: string] {
    return [`${this.key}-local`, `${this.key}-remote`];
  }

  get #required(): ServerFacts {
    if (!this.#upstream) throw new Error('the repositories were not made yet');
    return this.#upstream;
  }

  /** Where clients upload. */
  get uploadUrl(): string {
    return `${this.server.root}/api/pypi/${this.key}/`;
  }

  /** The index without credentials, for clients that are given them apart. */
  get indexUrl(): string {
    return `${this.uploadUrl}simple/`;
  }

  /** The index with credentials, as people write it into the settings of pip. */
  get ownIndexUrl(): string {
    return this.indexUrl.replace('://', `://${this.user}:${encodeURIComponent(PASSWORD)}@`);
  }

  /** What the tests install, from the upstream: older releases that fit, newer ones that do not. */
  async publishReleases(name: string): Promise<void> {
    const releases: SampleOptions[] = [
      { version: '1.0' },
      { version: '1.1', requires: [`${name}-helper>=1`] },
      { version: '1.2' },
      { version: '2.0rc1' },
      { version: '3.0', requiresPython: '>=99' },
    ];
    for (const release of releases) await this.#publish(await wheelOf({ name, ...release }));
    await this.#publish(await sdistOf({ name, version: '1.0' }));
    await this.#publish(await wheelOf({ name: `${name}-helper`, version: '1.5' }));
    const body = { reason: 'Broken beyond repair' };
    const yanked = await this.#required.ask('PUT', `api/pypi/${this.key}/yank/${name}/1.2`, body);
    assert.equal(yanked.status, 200, await yanked.text());
  }

  async #publish(sample: Sample): Promise<void> {
    const { headers, body } = formOf(fieldsOf(sample));
    const answer = await this.#required.ask('POST', `api/pypi/${this.key}/`, new Uint8Array(body), headers);
    assert.equal(answer.status, 200, await answer.text());
  }

  /** Names of the files that the index lists. */
  async filesOf(project: string): Promise<string[]> {
    const text = await this.server.textOf(`api/pypi/${this.key}/simple/${project}/`);
    return [...text.matchAll(/>([^<]+)<\/a>/g)].map(([, filename]) => filename ?? '');
  }

  /** Writes a distribution for a client to publish; answers its path. */
  async write(folder: string, sample: Sample): Promise<string> {
    await mkdir(join(this.#client.folder, folder), { recursive: true });
    const path = join(this.#client.folder, folder, sample.filename);
    await writeFile(path, sample.bytes);
    return path;
  }
}
