/** The identity layer over a new SQLite file, with a clock that tests turn and hashes that cost next to nothing. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite } from '../db/dialects/sqlite.ts';
import { migrate } from '../db/migrate.ts';
import { type AccountDeps, type AccountEvent, createUser, type NewUser, SYSTEM } from './accounts.ts';
import { Authenticator } from './authenticator.ts';
import { Passwords } from './passwords.ts';
import { PermissionIndex } from './permission-index.ts';
import type { RepositoryClass } from './permissions.ts';
import { Principals, type UserPrincipal } from './principals.ts';
import { Secrets } from './secrets.ts';
import { SigningKeys } from './signing-keys.ts';
import { LoginThrottle } from './throttle.ts';
import { openInstanceId, Tokens } from './tokens.ts';

export const PASSWORD = 'correct horse battery';

export async function testDatabase() {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-auth-'));
  const database = await openSqlite(join(folder, 'metadata.db'));
  await migrate(database);
  return {
    folder,
    database,
    async [Symbol.asyncDispose]() {
      await database.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export async function testIdentity(options: { readonly anonymousAccess?: boolean } = {}) {
  const { folder, database, ...held } = await testDatabase();
  const time = { ms: Date.parse('2026-01-01T00:00:00Z') };
  const clock = () => time.ms;
  const secrets = new Secrets(randomBytes(32));
  const signingKeys = new SigningKeys({ database, secrets, clock });
  const principals = new Principals({ database, clock });
  const instanceId = await openInstanceId(database);
  const tokens = new Tokens({ database, secrets, signingKeys, principals, instanceId, clock });
  const passwords = new Passwords({ parameters: { memory: 64, passes: 1, parallelism: 1 }, workers: 1 });
  const throttle = new LoginThrottle({ database, clock });
  const authenticator = new Authenticator({ database, principals, passwords, tokens, throttle, clock });
  const classes = new Map<string, RepositoryClass>();
  const permissions = new PermissionIndex(
    { database, clock },
    { anonymousAccess: options.anonymousAccess ?? false, classOf: (repo) => classes.get(repo) },
  );
  const events: string[] = [];
  const deps: AccountDeps = {
    database,
    passwords,
    principals,
    permissions,
    tokens,
    throttle,
    clock,
    passwordMinLength: 8,
    events: {
      async append(_tx, appended: readonly AccountEvent[], by: string) {
        for (const event of appended) events.push(`${event.type} ${event.subject} by ${by}`);
      },
    },
  };
  return {
    folder,
    database,
    time,
    secrets,
    signingKeys,
    principals,
    tokens,
    passwords,
    throttle,
    authenticator,
    permissions,
    classes,
    events,
    deps,
    /** Makes an account with the password `PASSWORD` and returns who it is. */
    async user(name: string, fields: Omit<NewUser, 'name'> = {}): Promise<UserPrincipal> {
      const { id } = await createUser(deps, { name, password: PASSWORD, ...fields }, SYSTEM);
      const account = await principals.getAccount(id);
      return account?.principal ?? { kind: 'user', id, name, groups: [], admin: false };
    },
    async [Symbol.asyncDispose]() {
      await passwords.stop();
      await held[Symbol.asyncDispose]();
    },
  };
}

export function basic(name: string, password: string): { readonly authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` };
}

export function bearer(token: string): { readonly authorization: string } {
  return { authorization: `Bearer ${token}` };
}
