/** What npm's own client does with accounts, owners and stars; where it asks, somebody answers on a terminal. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Client, clientSuite } from './client-suite.ts';
import { ServerFacts } from './server-facts.ts';
import { type Answer, findReasonForNoTerminal, runInTerminal } from './terminal.ts';

const run = `npm-people-${randomBytes(3).toString('hex')}`;
const PASSWORD = 'Blue-teapot-17';
const skip = findReasonForNoTerminal();

/** Two people who may publish to a repository, which is asked through a virtual one. */
class People {
  readonly ann: string;
  readonly bob: string;
  readonly #client: Client;
  readonly #server: ServerFacts;
  readonly #key: string;

  constructor(client: Client, name: string) {
    this.#client = client;
    this.#server = new ServerFacts(client.target);
    this.#key = `${run}-${name}`;
    this.ann = `ann-${this.#key}`;
    this.bob = `bob-${this.#key}`;
  }

  get registry(): string {
    return `${new URL(this.#client.target.url).origin}/artifactory/api/npm/${this.#key}/`;
  }

  async move(): Promise<void> {
    const local = `${this.#key}-local`;
    await this.#server.createRepository(local, { packageType: 'npm' });
    const virtual = { rclass: 'virtual', packageType: 'npm', repositories: [local], defaultDeploymentRepo: local };
    await this.#server.createRepository(this.#key, virtual);
    for (const name of [this.ann, this.bob]) {
      const body = { email: `${name}@example.com`, password: PASSWORD, admin: false };
      const created = await this.#server.ask('PUT', `api/security/users/${name}`, body);
      assert.equal(created.status, 201, await created.text());
    }
    const users = { [this.ann]: ['r', 'w', 'n'], [this.bob]: ['r', 'w', 'n'] };
    const permission = { repositories: [local], principals: { users } };
    const granted = await this.#server.ask('PUT', `api/security/permissions/${this.#key}`, permission);
    assert.ok(granted.status < 300, await granted.text());
  }

  async leave(): Promise<void> {
    await this.#server.ask('DELETE', `api/security/permissions/${this.#key}`);
    for (const name of [this.ann, this.bob]) await this.#server.ask('DELETE', `api/security/users/${name}`);
    await this.#server.deleteRepositories(this.#key, `${this.#key}-local`);
  }

  /** A folder with settings of its own, signed in where somebody's name or a token is given. */
  async desk(name: string, { user, token }: { user?: string; token?: string } = {}): Promise<Desk> {
    const cwd = join(this.#client.folder, name);
    await mkdir(cwd, { recursive: true });
    const settings = join(cwd, 'user.npmrc');
    const lines = [`registry=${this.registry}`, 'update-notifier=false', ''];
    const here = this.registry.replace(/^http:/, '');
    if (user !== undefined) lines.push(`${here}:_auth=${Buffer.from(`${user}:${PASSWORD}`).toString('base64')}`);
    if (token !== undefined) lines.push(`${here}:_authToken=${token}`);
    await writeFile(settings, lines.join('\n'));
    const env = { npm_config_userconfig: settings, npm_config_cache: join(this.#client.folder, `cache-${name}`) };
    return { cwd, env, settings };
  }
}

interface Desk {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly settings: string;
}

for (const name of ['npm11', 'npm10', 'npm9'] as const) {
  clientSuite(name, (client) => {
    const people = new People(client, name);
    const { ann, bob } = people;
    before(() => people.move());
    after(() => people.leave());

    /** On a terminal; what is typed in secret must not be seen. */
    const talk = async ({ cwd, env }: Desk, args: readonly string[], answers: readonly Answer[]) => {
      const result = await runInTerminal(client.path, args, { cwd, env: { ...client.env, ...env }, answers });
      assert.doesNotMatch(result.seen, new RegExp(PASSWORD));
      return result;
    };
    const as = (user: string, password = PASSWORD): readonly Answer[] => [
      { prompt: /Username:/i, answer: user },
      { prompt: /Password:/i, answer: password },
    ];
    const outputOf = async (desk: Desk, args: readonly string[]) => (await client.run(args, desk)).stdout.trim();
    const isTaken = async (desk: Desk) => /:_authToken=etp_/.test(await readFile(desk.settings, 'utf8'));

    test('signs in on a terminal with a name and a password, and out again', { skip }, async () => {
      const desk = await people.desk('login');
      const { code, seen } = await talk(desk, ['login', '--auth-type=legacy'], as(ann));
      assert.equal(code, 0, seen);
      assert.match(seen, /Logged in on/);
      assert.ok(await isTaken(desk));
      assert.equal(await outputOf(desk, ['whoami']), ann);
      await client.run(['logout'], desk);
      assert.ok(!(await isTaken(desk)));
      await client.fail(['whoami'], desk);
    });

    test('says on the terminal that the password is wrong', { skip }, async () => {
      const desk = await people.desk('wrong');
      for (const user of [ann, 'nobody-of-this-name']) {
        const { code, seen } = await talk(desk, ['login', '--auth-type=legacy'], as(user, 'Not-this-one-1'));
        assert.notEqual(code, 0);
        assert.match(seen, /user name or the password is wrong|password you entered|Incorrect or missing password/i);
      }
      assert.ok(!(await isTaken(desk)));
    });

    test('adding an account that is there signs in', { skip }, async () => {
      const desk = await people.desk('adduser');
      const answers = [...as(bob), { prompt: /Email/i, answer: `${bob}@example.com` }];
      const { code, seen } = await talk(desk, ['adduser', '--auth-type=legacy'], answers);
      assert.equal(code, 0, seen);
      assert.equal(await outputOf(desk, ['whoami']), bob);
    });

    test('shows the profile, and says where it is changed', async () => {
      const desk = await people.desk('profile', { user: ann });
      const shown = JSON.parse(await outputOf(desk, ['profile', 'get', '--json'])) as Record<string, unknown>;
      assert.deepEqual([shown['name'], shown['email'], shown['tfa']], [ann, `${ann}@example.com`, false]);
      const output = await client.fail(['profile', 'set', 'fullname', 'Ann'], desk);
      assert.match(output, /Profiles are changed in the settings of this server/);
    });

    test('makes, lists and revokes tokens', { skip }, async () => {
      const desk = await people.desk('tokens', { user: ann });
      const password = { prompt: /password:/i, answer: PASSWORD };
      const { code, seen } = await talk(desk, ['token', 'create', '--parseable'], [password]);
      assert.equal(code, 0, seen);
      const [token = ''] = /\betp_\w+/.exec(seen) ?? assert.fail(`no token: ${seen}`);
      const holder = await people.desk('holder', { token });
      assert.equal(await outputOf(holder, ['whoami']), ann);
      const listed = JSON.parse(await outputOf(desk, ['token', 'list', '--json'])) as { key: string; name: string }[];
      const [made] = listed.filter((one) => one.name === 'npm token');
      assert.ok(made, JSON.stringify(listed));
      await client.run(['token', 'revoke', made.key], desk);
      await client.fail(['whoami'], holder);
      const narrow = ['token', 'create', '--cidr=10.0.0.0/8'];
      const refused = await talk(desk, narrow, [password]);
      assert.notEqual(refused.code, 0);
      assert.match(refused.seen, /Tokens for some packages or addresses only are made in the settings/);
    });

    test('makes a token that only reads', { skip }, async () => {
      const desk = await people.desk('reading', { user: ann });
      await publish(desk, 'readable');
      const only = name === 'npm11' ? '--packages-and-scopes-permission=read-only' : '--read-only';
      const answers = [{ prompt: /password:/i, answer: PASSWORD }];
      const { code, seen } = await talk(desk, ['token', 'create', '--parseable', only], answers);
      assert.equal(code, 0, seen);
      const [token = ''] = /\betp_\w+/.exec(seen) ?? assert.fail(`no token: ${seen}`);
      const reader = await people.desk('reader', { token });
      assert.equal(await outputOf(reader, ['view', 'readable', 'version']), '1.0.0');
      assert.match(await client.fail(['star', 'readable'], reader), /403/);
    });

    test('owners are listed, added and removed', async () => {
      const desk = await people.desk('owners', { user: ann });
      for (const pack of ['owned', '@corp/owned']) {
        await publish(desk, pack);
        await client.run(['owner', 'add', ann, pack], desk);
        await client.run(['owner', 'add', bob, pack], desk);
        const both = await outputOf(desk, ['owner', 'ls', pack]);
        assert.match(both, new RegExp(`^${ann} <${ann}@example\\.com>\n${bob} <.*>$`));
        await client.run(['owner', 'rm', bob, pack], desk);
        assert.equal(await outputOf(desk, ['owner', 'ls', pack]), `${ann} <${ann}@example.com>`);
      }
      assert.match(await client.fail(['owner', 'add', bob, 'no-such-package'], desk), /404|no package/i);
    });

    test('stars are given, listed and taken', async () => {
      const [hers, his] = [await people.desk('hers', { user: ann }), await people.desk('his', { user: bob })];
      for (const pack of ['starred', '@corp/starred']) {
        await publish(hers, pack);
        await client.run(['star', pack], hers);
      }
      await client.run(['star', 'starred'], his);
      assert.deepEqual((await outputOf(hers, ['stars'])).split('\n'), ['@corp/starred', 'starred']);
      assert.equal(await outputOf(hers, ['stars', bob]), 'starred');
      await client.run(['unstar', 'starred'], hers);
      assert.equal(await outputOf(his, ['stars', ann]), '@corp/starred');
      assert.equal(await outputOf(his, ['stars']), 'starred');
    });

    async function publish(desk: Desk, pack: string): Promise<void> {
      const folder = join(desk.cwd, pack);
      await mkdir(folder, { recursive: true });
      const manifest = { name: pack, version: '1.0.0', license: 'MIT', description: 'A test.' };
      await writeFile(join(folder, 'package.json'), JSON.stringify(manifest));
      await client.run(['publish'], { ...desk, cwd: folder });
    }
  });
}
