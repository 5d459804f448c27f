import assert from 'node:assert/strict';
import { createHmac, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { isAppError } from '../core/errors.ts';
import { ANONYMOUS } from '../core/principal.ts';
import { listSigningKeys } from '../db/signing-keys.ts';
import { getToken } from '../db/tokens.ts';
import { createToken } from './account-tokens.ts';
import { SYSTEM } from './accounts.ts';
import { basic, bearer, testIdentity } from './test-identity.ts';
import { looksLikeToken, referenceTokenId } from './tokens.ts';

type Identity = Awaited<ReturnType<typeof testIdentity>>;

const SERVICE = 'repo.example.com';
const PEER = '192.0.2.1';

function encode(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

/** A token over any header and payload, signed with an elliptic-curve key. */
function forge(header: unknown, payload: unknown, key: KeyObject): string {
  const body = `${encode(header)}.${encode(payload)}`;
  return `${body}.${sign('sha256', Buffer.from(body), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

function parts(token: string): [header: string, payload: string, signature: string] {
  const [header = '', payload = '', signature = ''] = token.split('.');
  return [header, payload, signature];
}

describe('a forged, damaged or misplaced token', () => {
  let identity: Identity;
  let good: string;
  let registry: string;
  /** Makes each token to be refused; the second member says whether it is shown where registry tokens are taken. */
  let cases: [name: string, token: string, onRegistry?: boolean][];

  before(async () => {
    identity = await testIdentity();
    const ann = await identity.user('ann');
    const { accessToken = '', tokenId } = await createToken(identity.deps, {}, ann);
    const bobs = await createToken(identity.deps, {}, await identity.user('bob'));
    good = accessToken;
    const principal = ann;
    registry = (await identity.tokens.issueRegistry({ principal, audience: SERVICE, access: [] })).token;
    const key = await identity.signingKeys.current();
    const [row] = await listSigningKeys(identity.database.kysely);
    const sealed = identity.secrets.open('signing key', row!.sealedPrivate, `signing_key sealed_private ${key.id}`);
    const ours = createPrivateKey({ key: JSON.parse(sealed.toString()) as Record<string, string>, format: 'jwk' });
    const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const otherCurve = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const [h, p, s] = parts(good);
    const header = JSON.parse(Buffer.from(h, 'base64url').toString()) as Record<string, unknown>;
    const claims = JSON.parse(Buffer.from(p, 'base64url').toString()) as Record<string, unknown>;
    const registryHeader = { ...header, typ: 'registry' };
    const registryPayload = JSON.parse(Buffer.from(parts(registry)[1], 'base64url').toString()) as Record<
      string,
      unknown
    >;
    const now = Math.floor(identity.time.ms / 1000);
    const hmac = (secret: string | Buffer) => {
      const body = `${encode({ ...header, alg: 'HS256' })}.${p}`;
      return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
    };
    const withHeader = (more: object) => forge({ ...header, ...more }, claims, ours);
    const withClaims = (more: object) => forge(header, { ...claims, ...more }, ours);
    const without = (name: string) =>
      forge(header, Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name)), ours);
    const publicPem = key.publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const publicDer = key.publicKey.export({ type: 'spki', format: 'der' });
    const publicJwk = key.publicKey.export({ format: 'jwk' });
    const foreignJwk = foreign.publicKey.export({ format: 'jwk' });
    cases = [
      ['alg none', `${encode({ ...header, alg: 'none' })}.${p}.`],
      ['alg nOnE', `${encode({ ...header, alg: 'nOnE' })}.${p}.${s}`],
      ['no signature', `${h}.${p}.`],
      ['no third part', `${h}.${p}`],
      ['HS256 with the public key in PEM', hmac(publicPem)],
      ['HS256 with the public key in DER', hmac(publicDer)],
      ['HS256 with the public key as JWK', hmac(JSON.stringify(publicJwk))],
      ['HS256 with the key id', hmac(key.id)],
      ['alg ES384 in the header', withHeader({ alg: 'ES384' })],
      ['alg ES384 with such a key', forge({ ...header, alg: 'ES384' }, claims, otherCurve.privateKey)],
      ['alg RS256', withHeader({ alg: 'RS256' })],
      ['alg missing', forge({ kid: key.id, typ: 'access' }, claims, ours)],
      ['signed with another key', forge(header, claims, foreign.privateKey)],
      ['jwk in the header', forge({ ...header, jwk: foreignJwk }, claims, foreign.privateKey)],
      ['jwk in the header, properly signed', withHeader({ jwk: publicJwk })],
      ['jku', withHeader({ jku: 'https://evil.example/keys' })],
      ['x5u', withHeader({ x5u: 'https://evil.example/cert' })],
      ['x5c', withHeader({ x5c: ['MIIB'] })],
      ['crit', withHeader({ crit: ['exp'] })],
      ['b64 false', withHeader({ b64: false, crit: ['b64'] })],
      ['zip', withHeader({ zip: 'DEF' })],
      ['an unknown header', withHeader({ extra: 1 })],
      ['kid unknown', withHeader({ kid: 'unknown' })],
      ['kid a path', withHeader({ kid: '../../key' })],
      ['kid SQL', withHeader({ kid: "' or '1'='1" })],
      ['kid an array', withHeader({ kid: [key.id] })],
      ['kid of 10 kB', withHeader({ kid: 'k'.repeat(10_000) })],
      ['kid missing', forge({ alg: 'ES256', typ: 'access' }, claims, ours)],
      ['kid __proto__', withHeader({ kid: '__proto__' })],
      ['typ JWT', withHeader({ typ: 'JWT' })],
      ['typ missing', forge({ alg: 'ES256', kid: key.id }, claims, ours)],
      ['typ registry with the claims of access', withHeader({ typ: 'registry' }), true],
      ['typ access with the claims of registry', forge(header, registryPayload, ours), true],
      ['a registry token where none is taken', registry],
      ['an identity token of another issuer', forge(header, { ...claims, iss: 'https://login.example' }, ours)],
      ['exp missing', without('exp')],
      ['exp past', withClaims({ iat: now - 7200, exp: now - 3600 })],
      ['exp a text', withClaims({ exp: '9e99' })],
      ['exp negative', withClaims({ exp: -1 })],
      ['exp a fraction', withClaims({ exp: now + 0.5 })],
      ['exp in the year 9999', withClaims({ exp: 253_402_300_799 })],
      ['exp before iat', withClaims({ iat: now + 30, exp: now })],
      ['iat missing', without('iat')],
      ['iat in the future', withClaims({ iat: now + 600, exp: now + 3600 })],
      ['iat null', withClaims({ iat: null })],
      ['nbf in the future', forge(registryHeader, { ...registryPayload, nbf: now + 600 }, ours), true],
      ['iss of another instance', withClaims({ iss: 'entrepot@other' })],
      ['iss with a slash', withClaims({ iss: `${identity.tokens.issuer}/` })],
      ['aud missing', without('aud')],
      ['aud of another service', withClaims({ aud: 'other' })],
      ['aud an array with ours', withClaims({ aud: [identity.tokens.issuer, '*'] })],
      ['aud *', withClaims({ aud: '*' })],
      ['registry aud of another service', forge(registryHeader, { ...registryPayload, aud: 'other' }, ours), true],
      [
        'registry iss of another instance',
        forge(registryHeader, { ...registryPayload, iss: 'entrepot@other' }, ours),
        true,
      ],
      ['registry of a user without version', forge(registryHeader, { ...registryPayload, ver: undefined }, ours), true],
      ['registry of another version', forge(registryHeader, { ...registryPayload, ver: 99 }, ours), true],
      ['registry of an unknown user', forge(registryHeader, { ...registryPayload, uid: 'nobody' }, ours), true],
      [
        "registry of another user's token",
        forge(registryHeader, { ...registryPayload, cred: bobs.tokenId }, ours),
        true,
      ],
      ['registry of a revoked token', forge(registryHeader, { ...registryPayload, cred: 'gone' }, ours), true],
      ['sub of another user', withClaims({ sub: identity.tokens.subjectOf('admin') })],
      ['sub an array', withClaims({ sub: [claims['sub']] })],
      ['sub without the issuer', withClaims({ sub: 'ann' })],
      ['scp an object', withClaims({ scp: {} })],
      ['an unknown claim', withClaims({ groups: ['admins'] })],
      ['jti unknown', withClaims({ jti: 'unknown' })],
      ['jti missing', without('jti')],
      ['jti __proto__', withClaims({ jti: '__proto__' })],
      ['payload an array', forge(header, [claims], ours)],
      ['payload null', forge(header, null, ours)],
      ['payload a text', forge(header, '"access"', ours)],
      ['payload no JSON', forge(header, '{"iss":', ours)],
      ['payload empty', forge(header, '', ours)],
      ['payload changed', `${h}.${encode({ ...claims, jti: tokenId, exp: now + 9999 })}.${s}`],
      ['header no JSON', forge('{', claims, ours)],
      ['header an array', forge([header], claims, ours)],
      ['header null', forge('null', claims, ours)],
      ['signature of another token', `${h}.${p}.${parts(registry)[2]}`],
      ['signature r = s = 0', `${h}.${p}.${Buffer.alloc(64).toString('base64url')}`],
      ['signature in DER', `${h}.${p}.${sign('sha256', Buffer.from(`${h}.${p}`), ours).toString('base64url')}`],
      ['signature cut', `${h}.${p}.${s.slice(0, -2)}`],
      ['signature longer', `${h}.${p}.${s}AA`],
      ['two dots too many', `${good}.${h}`],
      ['four dots', `${h}.${p}.${s}.${h}.${p}`],
      ['only dots', 'eyJ..'],
      ['10,000 dots', `eyJ${'.'.repeat(10_000)}`],
      ['1 MiB', `eyJ.${'A'.repeat(1 << 20)}`],
      ['padded base64', `${h}=.${p}.${s}`],
      ['base64 of the other alphabet', good.replaceAll('-', '+').replaceAll('_', '/').replace('.', '+.')],
      ['white space inside', `${h}. ${p}.${s}`],
      ['non-canonical base64url', nonCanonical(good)],
      ['a percent sign', `${h}%2e${p}.${s}`],
      ['upper case', good.toUpperCase()],
    ];
  });
  after(() => identity[Symbol.asyncDispose]());

  it('is refused as any wrong credential is, in every place a token can stand', async () => {
    assert.ok(cases.length >= 80);
    for (const [name, token, onRegistry] of cases) {
      const options = onRegistry ? { registryAudience: SERVICE } : {};
      for (const headers of [bearer(token), basic('ann', token), { 'x-jfrog-art-api': token }]) {
        await assert.rejects(
          identity.authenticator.authenticate(headers, PEER, options),
          (error) => isAppError(error, 'unauthenticated') && error.detail['badCredentials'] === true,
          name,
        );
      }
    }
  });

  it('leaves the real ones untouched', async () => {
    const answer = await identity.authenticator.authenticate(bearer(good), PEER);
    assert.equal(answer.credential?.kind, 'access');
    const other = await identity.authenticator.authenticate(bearer(registry), PEER, { registryAudience: SERVICE });
    assert.equal(other.credential?.kind, 'registry');
  });

  it('is never accepted with any one character changed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.constantFrom('A', 'b', '9', '-', '_', '.'), async (at, letter) => {
        const changed = good.slice(0, at) + letter + good.slice(at + 1);
        assert.equal((await identity.tokens.verifyAccess(changed)) !== undefined, changed === good);
      }),
      { numRuns: 300 },
    );
  });
});

/** The same bytes in another spelling: the unused bits of the last character set. */
function nonCanonical(token: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(token.at(-1) ?? '');
  return token.slice(0, -1) + alphabet[last | 1];
}

describe('access tokens', () => {
  it('carry what clients read: the name after /users/ and their own id', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const { accessToken = '', tokenId } = await createToken(identity.deps, { expiresInSeconds: 60 }, ann);
    const claims = JSON.parse(Buffer.from(parts(accessToken)[1], 'base64url').toString()) as Record<string, unknown>;
    assert.match(String(claims['sub']), /^entrepot@[0-9a-f-]{36}\/users\/ann$/);
    assert.equal(claims['jti'], tokenId);
    assert.equal(claims['scp'], 'applied-permissions/user');
    assert.equal(Number(claims['exp']) - Number(claims['iat']), 60);
  });

  it('end when their row says, to the millisecond', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const { accessToken = '' } = await createToken(identity.deps, { expiresInSeconds: 60 }, ann);
    identity.time.ms += 59_999;
    await identity.authenticator.authenticate(bearer(accessToken), PEER);
    identity.time.ms += 1;
    await assert.rejects(identity.authenticator.authenticate(bearer(accessToken), PEER), /credentials/);
    assert.equal(await identity.tokens.purgeExpired(identity.time.ms + 1), 1);
  });

  it('without an end work in ten years', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    const request = { userName: 'ann', expiresInSeconds: 0 };
    const { accessToken = '' } = await createToken(identity.deps, request, SYSTEM);
    identity.time.ms += 10 * 365 * 86_400_000;
    assert.equal((await identity.authenticator.authenticate(bearer(accessToken), PEER)).authenticated, true);
  });
});

describe('reference tokens', () => {
  it('are found by prefix and checksum, and kept as a hash', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const request = { reference: true, signed: false };
    const { referenceToken = '', tokenId, accessToken } = await createToken(identity.deps, request, ann);
    assert.equal(accessToken, undefined);
    assert.match(referenceToken, /^etp_[0-9A-Za-z]{55}$/);
    assert.equal(referenceTokenId(referenceToken), tokenId);
    const row = await getToken(identity.database.kysely, tokenId);
    assert.ok(row?.secret && !JSON.stringify(row).includes(referenceToken.slice(12)));
    const answer = await identity.authenticator.authenticate(bearer(referenceToken), PEER);
    assert.deepEqual(answer.credential, { kind: 'reference', tokenId });
  });

  it('are refused with one character changed, another secret, or 1 MiB long', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const { referenceToken = '' } = await createToken(identity.deps, { reference: true, signed: false }, ann);
    const body = `${referenceToken.slice(0, 10)}${'x'.repeat(43)}`;
    const changed = Array.from(
      referenceToken,
      (c, i) => referenceToken.slice(0, i) + (c === 'x' ? 'y' : 'x') + referenceToken.slice(i + 1),
    );
    for (const token of changed) assert.equal(referenceTokenId(token), undefined);
    const rightChecksum = body + base62(crc32(body));
    assert.ok(referenceTokenId(rightChecksum));
    const unknown = `etp_zzzzzz${'x'.repeat(43)}`;
    const wrong = [
      ...changed,
      rightChecksum,
      unknown + base62(crc32(unknown)),
      `etp_${'A'.repeat(1 << 20)}`,
      `${referenceToken} `,
      `${referenceToken}\n`,
      referenceToken.slice(0, -1),
    ];
    for (const token of wrong)
      assert.equal(await identity.tokens.verifyReference(token), undefined, token.slice(0, 60));
    assert.ok(looksLikeToken('etp_x'));
  });

  it('end when their row says, also while they are remembered', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const request = { reference: true, signed: false, expiresInSeconds: 30 };
    const { referenceToken = '' } = await createToken(identity.deps, request, ann);
    await identity.authenticator.authenticate(bearer(referenceToken), PEER);
    identity.time.ms += 30_000;
    await assert.rejects(identity.authenticator.authenticate(bearer(referenceToken), PEER), /credentials/);
  });

  it('are the same token as the signed one made with them', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const {
      accessToken = '',
      referenceToken = '',
      tokenId,
    } = await createToken(identity.deps, { reference: true }, ann);
    for (const token of [accessToken, referenceToken]) {
      const answer = await identity.authenticator.authenticate(bearer(token), PEER);
      assert.equal(answer.credential?.tokenId, tokenId);
    }
  });

  it('remember to the minute when they were used, written when flushed', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const { referenceToken = '', tokenId } = await createToken(identity.deps, { reference: true }, ann);
    identity.time.ms += 90_000;
    await identity.authenticator.authenticate(bearer(referenceToken), PEER);
    assert.equal((await getToken(identity.database.kysely, tokenId))?.lastUsedAt, undefined);
    await identity.authenticator.flush();
    assert.equal((await getToken(identity.database.kysely, tokenId))?.lastUsedAt, identity.time.ms - 30_000);
  });
});

function base62(number: number): string {
  const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  let text = '';
  for (let rest = number; text.length < 6; rest = Math.floor(rest / 62)) text = alphabet[rest % 62] + text;
  return text;
}

describe('registry tokens', () => {
  it('prove who the caller is, with what was asked for', async () => {
    await using identity = await testIdentity();
    const principal = await identity.user('ann');
    const access = [{ type: 'repository', name: 'docker-local/app', actions: ['pull'] }];
    const issued = await identity.tokens.issueRegistry({ principal, audience: SERVICE, access });
    assert.equal(issued.expiresInSeconds, 3600);
    const answer = await identity.authenticator.authenticate(bearer(issued.token), PEER, { registryAudience: SERVICE });
    assert.equal(answer.principal.kind === 'user' && answer.principal.name, 'ann');
    assert.deepEqual(answer.registryAccess, access);
  });

  it('can be nobody’s', async () => {
    await using identity = await testIdentity();
    const issued = await identity.tokens.issueRegistry({ principal: ANONYMOUS, audience: SERVICE, access: [] });
    const answer = await identity.authenticator.authenticate(bearer(issued.token), PEER, { registryAudience: SERVICE });
    assert.deepEqual([answer.principal.kind, answer.authenticated], ['anonymous', false]);
  });

  it('end with the token they were obtained with, and cannot be exchanged', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const { accessToken = '' } = await createToken(identity.deps, { expiresInSeconds: 120 }, ann);
    const caller = await identity.authenticator.authenticate(bearer(accessToken), PEER);
    const issued = await identity.tokens.issueRegistry({ ...caller, audience: SERVICE, access: [] });
    assert.equal(issued.expiresInSeconds, 120);
    const options = { registryAudience: SERVICE };
    const again = await identity.authenticator.authenticate(bearer(issued.token), PEER, options);
    await assert.rejects(identity.tokens.issueRegistry({ ...again, audience: SERVICE, access: [] }), (error) =>
      isAppError(error, 'forbidden'),
    );
    identity.time.ms += 120_000;
    await assert.rejects(identity.authenticator.authenticate(bearer(issued.token), PEER, options), /credentials/);
  });

  it('are refused when they would be too long to be sent back', async () => {
    await using identity = await testIdentity();
    const access = Array.from({ length: 200 }, (_, i) => ({
      type: 'repository',
      name: `docker/app-${i}`,
      actions: ['pull'],
    }));
    await assert.rejects(identity.tokens.issueRegistry({ principal: ANONYMOUS, audience: SERVICE, access }), (error) =>
      isAppError(error, 'invalid'),
    );
  });
});
