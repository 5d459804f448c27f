import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Client } from './client-suite.ts';
import { type CommandOptions, type CommandResult, runCommand } from './command.ts';
import { ServerFacts } from './server-facts.ts';

const PASSWORD = 'Blue-teapot-17';

interface Snippet {
  readonly title: string;
  readonly language: string;
  readonly file?: string;
  readonly code: string;
}

interface SetMeUp {
  readonly deploys: boolean;
  readonly clients: readonly { readonly id: string; readonly steps: readonly { snippets: readonly Snippet[] }[] }[];
}

/** Where snippets are used, as by one person on one machine. */
export interface Desk {
  /** What stands for `~`. */
  readonly home: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * A virtual repository over a local one, to which it deploys; somebody who may do that, whose name is of the kind that
 * has to be written with care; and the snippets that the server gives this person.
 */
export class SetUpWorld {
  readonly server: ServerFacts;
  readonly key: string;
  readonly local: string;
  readonly user: string;
  #client: Client;
  #token = '';
  #told: SetMeUp = { deploys: false, clients: [] };

  constructor(client: Client, name: string) {
    const run = randomBytes(3).toString('hex');
    this.#client = client;
    this.server = new ServerFacts(client.target);
    this.key = `set-up-${name}-${run}`;
    this.local = `${this.key}-local`;
    this.user = `set.up+${name}-${run}@corp`;
  }

  async open(packageType: string): Promise<void> {
    await this.server.createRepository(this.local, { packageType });
    const virtual = { rclass: 'virtual', repositories: [this.local], defaultDeploymentRepo: this.local };
    await this.server.createRepository(this.key, { packageType, ...virtual });
    const body = { email: 'user@example.com', password: PASSWORD, admin: false };
    const created = await this.server.ask('PUT', `api/security/users/${encodeURIComponent(this.user)}`, body);
    assert.equal(created.status, 201, await created.text());
    const permission = { repositories: [this.local], principals: { users: { [this.user]: ['r', 'w', 'n'] } } };
    const granted = await this.server.ask('PUT', `api/security/permissions/${this.key}`, permission);
    assert.ok(granted.status < 300, await granted.text());
    const token = await this.#ask('POST', '/access/api/v1/tokens', '{}');
    this.#token = ((await token.json()) as { access_token: string }).access_token;
    const path = `/artifactory/api/v1/repositories/${this.key}/set-me-up`;
    const told = await this.#ask('GET', path);
    this.#told = (await told.json()) as SetMeUp;
    assert.ok(this.#told.deploys);
    assert.ok(!JSON.stringify(this.#told).includes(this.#token));
  }

  async close(): Promise<void> {
    await this.server.ask('DELETE', `api/security/permissions/${this.key}`);
    await this.server.ask('DELETE', `api/security/users/${encodeURIComponent(this.user)}`);
    await this.server.deleteRepositories(this.key, this.local);
  }

  async #ask(method: string, path: string, body?: string): Promise<Response> {
    const answer = await fetch(new URL(path, this.#client.target.url), {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(`${this.user}:${PASSWORD}`).toString('base64')}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body }),
    });
    assert.ok(answer.ok, `${path}: ${answer.status}`);
    return answer;
  }

  /** A desk at which these commands are found, each run by what is given. */
  async desk(
    name: string,
    commands: Readonly<Record<string, readonly string[]>>,
    env: Desk['env'] = {},
  ): Promise<Desk> {
    const folder = join(this.#client.folder, name);
    const bin = join(this.#client.folder, 'bin', name);
    for (const each of [folder, bin]) await mkdir(each, { recursive: true });
    for (const [command, words] of Object.entries(commands)) {
      const path = join(bin, command);
      await writeFile(path, `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(' ')} "$@"\n`);
      await chmod(path, 0o755);
    }
    const home = this.#client.env['HOME'] ?? folder;
    return { home, folder, env: { ...this.#client.env, ...env, PATH: `${bin}:${process.env['PATH']}` } };
  }

  /** A snippet as the server gave it, with what it leaves open filled in. */
  snippet(client: string, title: string, open: Readonly<Record<string, string>> = {}, language?: string): Snippet {
    const { steps = [] } = this.#told.clients.find(({ id }) => id === client) ?? {};
    const found = steps
      .flatMap(({ snippets }) => snippets)
      .find((each) => each.title === title && (language === undefined || each.language === language));
    assert.ok(found, `there is no snippet "${title}" for ${client}`);
    const filled = (text: string) =>
      Object.entries({ YOUR_TOKEN: this.#token, ...open }).reduce(
        (all, [place, value]) => all.replaceAll(place, value),
        text,
      );
    return { ...found, code: filled(found.code), ...(found.file !== undefined && { file: filled(found.file) }) };
  }

  /** Writes a snippet into the file it belongs in, behind what is there. */
  async write(desk: Desk, { file, code }: Snippet): Promise<string> {
    assert.ok(file);
    const path = file.startsWith('~/') ? join(desk.home, file.slice(2)) : join(desk.folder, file);
    await mkdir(dirname(path), { recursive: true });
    const before = await readFile(path, 'utf8').catch(() => '');
    await writeFile(path, `${before}${code}`);
    return path;
  }

  /** Runs snippets, one after the other in one shell. */
  async run(desk: Desk, snippets: readonly Snippet[], options: CommandOptions = {}): Promise<CommandResult> {
    const script = snippets.map(({ code, language }) => {
      assert.equal(language, 'shell');
      return code;
    });
    return await runCommand('sh', ['-e', '-c', script.join('\n')], {
      cwd: desk.folder,
      timeoutMs: 120_000,
      ...options,
      env: { ...desk.env, ...options.env },
    });
  }
}
