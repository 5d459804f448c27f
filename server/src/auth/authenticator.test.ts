import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isAppError } from '../core/errors.ts';
import { getUserByName } from '../db/users.ts';
import { createToken, revokeToken } from './account-tokens.ts';
import { createUser, deleteUser, revokeAllTokens, SYSTEM, setPassword, updateUser } from './accounts.ts';
import type { CredentialHeaders } from './authenticator.ts';
import { Passwords } from './passwords.ts';
import { basic, bearer, PASSWORD, testIdentity } from './test-identity.ts';

type Identity = Awaited<ReturnType<typeof testIdentity>>;

const PEER = '192.0.2.1';

async function nameOf(identity: Identity, headers: CredentialHeaders, peer = PEER): Promise<string> {
  const { principal } = await identity.authenticator.authenticate(headers, peer);
  return principal.kind === 'user' ? principal.name : 'anonymous';
}

function isBadCredentials(error: unknown): boolean {
  return isAppError(error, 'unauthenticated') && error.detail['badCredentials'] === true;
}

async function assertRefused(identity: Identity, headers: CredentialHeaders, peer?: string): Promise<void> {
  await assert.rejects(nameOf(identity, headers, peer), isBadCredentials, JSON.stringify(headers).slice(0, 200));
}

function basicRaw(text: string | Buffer): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(text).toString('base64')}` };
}

describe('authenticate', () => {
  it('takes a request without credentials, or with empty ones, for nobody’s', async () => {
    await using identity = await testIdentity();
    for (const headers of [{}, { authorization: 'Basic Og==' }, { authorization: 'basic  Og==' }]) {
      const answer = await identity.authenticator.authenticate(headers, PEER);
      assert.deepEqual(answer, { principal: { kind: 'anonymous' }, authenticated: false });
    }
  });

  it('takes a name and a password', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    const answer = await identity.authenticator.authenticate(basic('ann', PASSWORD), PEER);
    assert.equal(answer.authenticated, true);
    assert.deepEqual(answer.credential, { kind: 'password' });
    assert.equal((await identity.authenticator.loginWithPassword('ann', PASSWORD, PEER)).authenticated, true);
  });

  it('takes passwords with colons, spaces and any letters', async () => {
    await using identity = await testIdentity();
    await identity.user('ann', { password: ':pass: wörd 🔑:' });
    assert.equal(await nameOf(identity, basic('ann', ':pass: wörd 🔑:')), 'ann');
  });

  it('refuses what is no Basic credential', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    for (const headers of [
      { authorization: 'Basic' },
      { authorization: 'Basic ' },
      { authorization: 'Basic !!!' },
      { authorization: 'Basic YW5u*' },
      { authorization: 'Basic =' },
      { authorization: '' },
      basicRaw('ann'),
      basicRaw(`ann\0:${PASSWORD}`),
      basicRaw(`ann:${PASSWORD}\0`),
      basicRaw(`ann:${PASSWORD}\r\nX: y`),
      basicRaw(Buffer.from([0x61, 0x3a, 0xff, 0xfe])),
      basicRaw(`ann:${'x'.repeat(64_000)}`),
      basicRaw(`:${PASSWORD}`),
      basicRaw('ann:'),
      { authorization: `${basic('ann', PASSWORD).authorization} trailing` },
    ]) {
      await assertRefused(identity, headers);
    }
  });

  it('refuses repeated and joined credentials', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const { accessToken = '' } = await createToken(identity.deps, {}, ann);
    const good = basic('ann', PASSWORD).authorization;
    await assertRefused(identity, { authorization: [good, good] });
    await assertRefused(identity, { authorization: `${good}, Bearer ${accessToken}` });
    await assertRefused(identity, { authorization: `Bearer ${accessToken}, ${good}` });
    await assertRefused(identity, { 'x-jfrog-art-api': [accessToken, accessToken] });
    await assertRefused(identity, { 'x-jfrog-art-api': accessToken, 'x-api-key': 'other' });
  });

  it('takes schemes in any case, and only those it knows', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const { accessToken = '' } = await createToken(identity.deps, {}, ann);
    for (const scheme of ['bearer', 'BEARER', 'Bearer']) {
      assert.equal(await nameOf(identity, { authorization: `${scheme} ${accessToken}` }), 'ann');
    }
    assert.equal(
      await nameOf(identity, { authorization: basic('ann', PASSWORD).authorization.replace('B', 'b') }),
      'ann',
    );
    for (const scheme of ['Token', 'Digest', 'Negotiate', 'JWT', '']) {
      await assertRefused(identity, { authorization: `${scheme} ${accessToken}` });
    }
  });

  it('refuses credentials of two users, and takes two of one', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const bob = await identity.user('bob');
    const annsToken = (await createToken(identity.deps, {}, ann)).accessToken;
    const bobsToken = (await createToken(identity.deps, {}, bob)).accessToken;
    await assertRefused(identity, { ...basic('ann', PASSWORD), 'x-jfrog-art-api': bobsToken });
    assert.equal(await nameOf(identity, { ...basic('ann', PASSWORD), 'x-jfrog-art-api': annsToken }), 'ann');
    assert.equal(await nameOf(identity, { 'x-jfrog-art-api': bobsToken }), 'bob');
    assert.equal(await nameOf(identity, { 'x-api-key': bobsToken }), 'bob');
    await assertRefused(identity, { 'x-api-key': 'AKC0123456789' });
  });

  it('does not hash a password over 1,024 bytes, and does not cut one', async () => {
    await using identity = await testIdentity();
    await identity.user('ann', { password: `${'p'.repeat(71)}qz` });
    await identity.passwords.stop();
    await assertRefused(identity, basic('ann', 'x'.repeat(1025)));
    await using other = await testIdentity();
    await other.user('ann', { password: `${'p'.repeat(71)}qz` });
    await assertRefused(other, basic('ann', `${'p'.repeat(71)}qy`));
    assert.equal(await nameOf(other, basic('ann', `${'p'.repeat(71)}qz`)), 'ann');
  });

  it('folds names once, and only names of plain letters', async () => {
    await using identity = await testIdentity();
    await identity.user('admin', { admin: true });
    await identity.user('kim');
    assert.equal(await nameOf(identity, basic('Admin', PASSWORD)), 'admin');
    assert.equal(await nameOf(identity, basic('ADMIN', PASSWORD)), 'admin');
    // The last two start with a Cyrillic letter and with the Kelvin sign, whose lower-case form is a plain k.
    for (const [i, name] of ['admin%00', 'admin ', ' admin', 'a'.repeat(300), '\u0430dmin', '\u212aim'].entries()) {
      await assertRefused(identity, basic(name, PASSWORD), `198.51.${i}.1`);
    }
  });

  it('never takes an empty password, not even for an account without one', async () => {
    await using identity = await testIdentity();
    await identity.user('robot', { password: undefined });
    await assertRefused(identity, basic('robot', 'anything'));
    await identity.passwords.stop();
    await assertRefused(identity, basic('robot', ''));
  });

  it('takes what looks like a query to a directory for an unknown name', async () => {
    await using identity = await testIdentity();
    for (const [i, name] of ['*)(uid=*', 'admin)(|(x=', '\\00', "' or 1=1 --"].entries()) {
      await assertRefused(identity, basic(name, PASSWORD), `198.51.${i}.1`);
    }
  });

  it('answers an unknown user and a wrong password in the same words', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    const errors: unknown[] = [];
    for (const headers of [basic('ann', 'wrong password'), basic('nobody', 'wrong password')]) {
      await identity.authenticator.authenticate(headers, PEER).catch((error: unknown) => errors.push(error));
    }
    const [wrong, unknown] = errors.map((error) => isAppError(error) && [error.code, error.message, error.detail]);
    assert.deepEqual(wrong, unknown);
  });

  it('takes a token as password under its own name or none', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    await identity.user('bob');
    const { accessToken = '', referenceToken = '' } = await createToken(identity.deps, { reference: true }, ann);
    for (const token of [accessToken, referenceToken]) {
      for (const name of [
        'ann',
        'Ann',
        '',
        'token',
        '_token',
        '<token>',
        'oauth2accesstoken',
        '00000000-0000-0000-0000-000000000000',
      ]) {
        assert.equal(await nameOf(identity, basic(name, token)), 'ann');
      }
      for (const name of ['bob', 'nobody', 'anonymous', 'ann ']) await assertRefused(identity, basic(name, token));
      assert.equal((await identity.authenticator.loginWithPassword('ann', token, PEER)).authenticated, true);
    }
  });

  it('does not take one kind of token for another', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const { token } = await identity.tokens.issueRegistry({ principal: ann, audience: 'here', access: [] });
    const { accessToken = '' } = await createToken(identity.deps, {}, ann);
    await assertRefused(identity, bearer(token));
    await assertRefused(identity, basic('ann', token));
    await assertRefused(identity, { 'x-jfrog-art-api': token });
    await assert.rejects(identity.authenticator.authenticate(bearer(token), PEER, { registryAudience: 'there' }));
    const answer = await identity.authenticator.authenticate(bearer(accessToken), PEER, { registryAudience: 'here' });
    assert.equal(answer.credential?.kind, 'access');
  });

  it('narrows the principal to the scope of the token', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const scope = [{ actions: ['read' as const], repos: ['libs'], paths: ['**'] }];
    const { accessToken = '' } = await createToken(identity.deps, { scope }, ann);
    const caller = await identity.authenticator.authenticate(bearer(accessToken), PEER);
    assert.deepEqual(caller.principal.kind === 'user' && caller.principal.scope, scope);
    const { token } = await identity.tokens.issueRegistry({ ...caller, audience: 'here', access: [] });
    const { principal } = await identity.authenticator.authenticate(bearer(token), PEER, { registryAudience: 'here' });
    assert.deepEqual(principal.kind === 'user' && principal.scope, scope);
  });

  const ends: [what: string, end: (identity: Identity, tokenId: string) => Promise<unknown>][] = [
    ['the account is deleted', ({ deps }) => deleteUser(deps, 'ann', SYSTEM)],
    ['the account is disabled', ({ deps }) => updateUser(deps, 'ann', { enabled: false }, SYSTEM)],
    [
      'the account is deleted and made again',
      async ({ deps }) => {
        await deleteUser(deps, 'ann', SYSTEM);
        await createUser(deps, { name: 'ann', password: 'another password' }, SYSTEM);
      },
    ],
    [
      'the password changes and tokens are revoked',
      async ({ deps, time }) => {
        time.ms += 1;
        await setPassword(deps, { name: 'ann', password: 'another password', revokeTokens: true }, SYSTEM);
      },
    ],
  ];
  for (const [what, end] of ends) {
    it(`takes nothing any more at once when ${what}`, async () => {
      await using identity = await testIdentity();
      const ann = await identity.user('ann');
      const {
        accessToken = '',
        referenceToken = '',
        tokenId,
      } = await createToken(identity.deps, { reference: true }, ann);
      const { token } = await identity.tokens.issueRegistry({ principal: ann, audience: 'here', access: [] });
      const all = [bearer(accessToken), bearer(referenceToken), basic('ann', PASSWORD), bearer(token)];
      const options = { registryAudience: 'here' };
      for (const headers of all) await identity.authenticator.authenticate(headers, PEER, options);
      await end(identity, tokenId);
      for (const headers of all) {
        assert.equal(identity.authenticator.authenticateNow(headers, options), undefined);
        await assert.rejects(identity.authenticator.authenticate(headers, PEER, options), isBadCredentials);
      }
    });
  }

  it('takes neither form of a revoked token, nor a registry token made with it', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const {
      accessToken = '',
      referenceToken = '',
      tokenId,
    } = await createToken(identity.deps, { reference: true }, ann);
    const caller = await identity.authenticator.authenticate(bearer(accessToken), PEER);
    const { token } = await identity.tokens.issueRegistry({ ...caller, audience: 'here', access: [] });
    const options = { registryAudience: 'here' };
    await identity.authenticator.authenticate(bearer(token), PEER, options);
    await revokeToken(identity.deps, tokenId, ann);
    for (const secret of [accessToken, referenceToken, token]) {
      await assert.rejects(identity.authenticator.authenticate(bearer(secret), PEER, options), isBadCredentials);
    }
  });

  it('takes a token made after all earlier ones were revoked', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const before = await createToken(identity.deps, {}, ann);
    identity.time.ms += 10;
    await revokeAllTokens(identity.deps, 'ann', ann);
    const after = await createToken(identity.deps, {}, ann);
    await assertRefused(identity, bearer(before.accessToken ?? ''));
    assert.equal(await nameOf(identity, bearer(after.accessToken ?? '')), 'ann');
  });

  it('remembers a password it verified for a minute, and never a wrong one', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    assert.equal(identity.authenticator.authenticateNow(basic('ann', PASSWORD)), undefined);
    const first = await identity.authenticator.authenticate(basic('ann', PASSWORD), PEER);
    assert.equal(identity.authenticator.authenticateNow(basic('ann', PASSWORD)), first);
    identity.time.ms += 60_000;
    assert.equal(identity.authenticator.authenticateNow(basic('ann', PASSWORD)), undefined);
    await assertRefused(identity, basic('ann', 'wrong password'));
    assert.equal(identity.authenticator.authenticateNow(basic('ann', 'wrong password')), undefined);
  });

  it('forgets what it remembered when told to', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    await identity.authenticator.authenticate(basic('ann', PASSWORD), PEER);
    identity.authenticator.invalidate();
    assert.equal(identity.authenticator.authenticateNow(basic('ann', PASSWORD)), undefined);
  });

  it('has a remembered password read its account again, but not hashed again', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    await identity.authenticator.authenticate(basic('ann', PASSWORD), PEER);
    await identity.passwords.stop();
    identity.principals.invalidate();
    assert.equal(await nameOf(identity, basic('ann', PASSWORD)), 'ann');
  });

  it('shows a change of groups to a remembered caller at once', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const { accessToken = '' } = await createToken(identity.deps, {}, ann);
    await identity.authenticator.authenticate(bearer(accessToken), PEER);
    await updateUser(identity.deps, 'ann', { admin: true }, SYSTEM);
    const { principal } = await identity.authenticator.authenticate(bearer(accessToken), PEER);
    assert.equal(principal.kind === 'user' && principal.admin, true);
  });

  it('checks the same credentials once when they come many times at once', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    const good = await Promise.all(
      Array.from({ length: 100 }, () => identity.authenticator.authenticate(basic('ann', PASSWORD), PEER)),
    );
    assert.equal(new Set(good).size, 1);
    const bad = await Promise.allSettled(
      Array.from({ length: 100 }, () => identity.authenticator.authenticate(basic('ann', 'wrong password'), PEER)),
    );
    assert.ok(bad.every((outcome) => outcome.status === 'rejected' && isBadCredentials(outcome.reason)));
    await assertRefused(identity, basic('ann', 'wrong password 2'));
  });

  it('brings an old hash up to date at the next login', async () => {
    await using identity = await testIdentity();
    const old = new Passwords({ parameters: { memory: 32, passes: 1, parallelism: 1 } });
    const hash = await old.hash(PASSWORD);
    await old.stop();
    await identity.user('ann');
    await identity.database.transaction((tx) => tx.updateTable('user').set({ password: hash }).execute());
    identity.principals.invalidate();
    assert.equal(await nameOf(identity, basic('ann', PASSWORD)), 'ann');
    assert.match((await getUserByName(identity.database.kysely, 'ann'))?.password ?? '', /m=64/);
    assert.equal(await nameOf(identity, basic('ann', PASSWORD)), 'ann');
  });

  it('notes the last login, written when flushed', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    await identity.authenticator.authenticate(basic('ann', PASSWORD), PEER);
    await identity.authenticator.flush();
    assert.equal((await getUserByName(identity.database.kysely, 'ann'))?.lastLoginAt, identity.time.ms);
  });
});
