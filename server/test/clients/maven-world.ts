import { randomBytes } from 'node:crypto';
import { makePom } from '../formats/maven-samples.ts';
import { ADMIN_PASSWORD, startTestApp, type TestApp } from '../support/test-app.ts';
import type { ServerFacts } from './server-facts.ts';

/** What the suites of all clients have in common: repositories of all classes, and artifacts in the upstream. */
export class MavenWorld {
  readonly server: ServerFacts;
  readonly run = `mvn-${randomBytes(3).toString('hex')}`;
  readonly group = `org.${this.run.replace('-', '')}`;
  readonly folder = this.group.replace('.', '/');
  #upstream: TestApp | undefined;

  constructor(server: ServerFacts) {
    this.server = server;
  }

  key(name: string): string {
    return `${this.run}-${name}`;
  }

  url(name: string): string {
    return `${this.server.root}/${this.key(name)}`;
  }

  async open(packageType: string): Promise<void> {
    const make = (name: string, settings: Record<string, unknown>) =>
      this.server.createRepository(this.key(name), { packageType, ...settings });
    this.#upstream = await startTestApp('sqlite-fs');
    const { admin, url } = this.#upstream;
    const body = JSON.stringify({ rclass: 'local', packageType });
    const headers = { 'content-type': 'application/json' };
    await admin.request('PUT', '/artifactory/api/repositories/up', { body, headers });
    await make('local', {});
    await make('releases', { handleSnapshots: false });
    const credentials = { username: 'admin', password: ADMIN_PASSWORD };
    await make('remote', { rclass: 'remote', url: `${url}/artifactory/up`, ...credentials });
    const repositories = [this.key('local'), this.key('remote')];
    await make('all', { rclass: 'virtual', repositories, defaultDeploymentRepo: this.key('local') });
    const far = { group: `far.${this.group}`, artifact: 'far', version: '1.0' };
    const path = `/artifactory/up/${far.group.replaceAll('.', '/')}/far/1.0/far-1.0`;
    await admin.request('PUT', `${path}.jar`, { body: 'from far' });
    await admin.request('PUT', `${path}.pom`, { body: makePom(far) });
  }

  async close(): Promise<void> {
    await this.server.deleteRepositories(...['all', 'remote', 'local', 'releases'].map((name) => this.key(name)));
    await this.#upstream?.stop();
  }
}
