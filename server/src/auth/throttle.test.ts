import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isAppError } from '../core/errors.ts';
import { createToken } from './account-tokens.ts';
import { SYSTEM, unlockUser } from './accounts.ts';
import { basic, bearer, PASSWORD, testIdentity } from './test-identity.ts';
import { addressRange } from './throttle.ts';

type Identity = Awaited<ReturnType<typeof testIdentity>>;

const HOUR_MS = 3_600_000;
let guesses = 0;

/** Tries a wrong password, another each time; says how it was refused and how long to wait. */
async function guess(identity: Identity, name: string, peer: string): Promise<'wrong' | number> {
  guesses += 1;
  try {
    await identity.authenticator.authenticate(basic(name, `wrong password ${guesses}`), peer);
  } catch (error) {
    if (isAppError(error, 'unauthenticated')) return 'wrong';
    if (isAppError(error, 'rate_limited')) return Number(error.detail['retryAfterSeconds']);
    throw error;
  }
  throw new Error('a wrong password was taken');
}

async function login(identity: Identity, name: string, peer: string): Promise<boolean> {
  identity.authenticator.invalidate();
  try {
    return (await identity.authenticator.authenticate(basic(name, PASSWORD), peer)).authenticated;
  } catch (error) {
    if (isAppError(error)) return false;
    throw error;
  }
}

describe('LoginThrottle', () => {
  it('delays ever longer after five failures at one account from one range', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    for (let i = 0; i < 5; i++) assert.equal(await guess(identity, 'ann', `192.0.2.${i}`), 'wrong');
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      const wait = Number(await guess(identity, 'ann', '192.0.2.9'));
      waits.push(wait);
      identity.time.ms += wait * 1000;
      assert.equal(await guess(identity, 'ann', '192.0.2.9'), 'wrong');
    }
    assert.deepEqual(waits.slice(0, 5), [1, 2, 4, 8, 16]);
    assert.ok(waits.every((wait) => wait <= 900));
    assert.equal(await login(identity, 'ann', '192.0.2.9'), false);
  });

  it('forgives when the window has passed', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    for (let i = 0; i < 5; i++) await guess(identity, 'ann', '192.0.2.1');
    assert.equal(await guess(identity, 'ann', '192.0.2.1'), 1);
    identity.time.ms += 18 * 60_000;
    for (let i = 0; i < 5; i++) assert.equal(await guess(identity, 'ann', '192.0.2.1'), 'wrong');
  });

  it('starts again after a success', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 4; i++) assert.equal(await guess(identity, 'ann', '192.0.2.1'), 'wrong');
      assert.equal(await login(identity, 'ann', '192.0.2.1'), true);
    }
  });

  it('counts an unknown account like a known one', async () => {
    await using identity = await testIdentity();
    for (let i = 0; i < 5; i++) assert.equal(await guess(identity, 'nobody', '192.0.2.1'), 'wrong');
    assert.equal(await guess(identity, 'nobody', '192.0.2.1'), 1);
  });

  it('stops guesses at one account from everywhere, but not from where its owner logs in', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    assert.equal(await login(identity, 'ann', '203.0.113.1'), true);
    await identity.authenticator.flush();
    for (let i = 0; i < 30; i++) assert.equal(await guess(identity, 'ann', `10.0.${i}.1`), 'wrong');
    const wait = await guess(identity, 'ann', '10.0.99.1');
    assert.ok(typeof wait === 'number' && wait > 3600 && wait <= 4320);
    assert.equal(await login(identity, 'ann', '10.0.98.1'), false);
    assert.equal(await login(identity, 'ann', '203.0.113.77'), true);
  });

  it('never lets more failures through in any hour than the limit', async () => {
    await using identity = await testIdentity();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(120_000), { minLength: 60, maxLength: 90 }), fc.nat(), async (gaps, seed) => {
        const name = `user${seed}`;
        const times: number[] = [];
        for (const [i, gap] of gaps.entries()) {
          identity.time.ms += gap;
          if ((await guess(identity, name, `10.1.${i}.1`)) === 'wrong') times.push(identity.time.ms);
        }
        for (const start of times) assert.ok(times.filter((t) => t >= start && t < start + HOUR_MS).length <= 30);
      }),
      { numRuns: 5 },
    );
  });

  it('takes no password from unknown addresses after a hundred failures in a row, until it is unlocked', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    await identity.user('root', { admin: true });
    assert.equal(await login(identity, 'ann', '203.0.113.1'), true);
    await identity.authenticator.flush();
    for (let i = 0; i < 100; i++) {
      identity.time.ms += 150_000;
      assert.equal(await guess(identity, 'ann', `10.0.${i}.1`), 'wrong');
    }
    identity.time.ms += 2 * HOUR_MS;
    assert.equal(await login(identity, 'ann', '10.9.1.1'), false);
    await unlockUser(identity.deps, 'Ann', SYSTEM);
    assert.equal(await login(identity, 'ann', '10.9.1.1'), true);
  });

  it('stops an address range that tries many accounts', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    await identity.user('bob');
    assert.equal(await login(identity, 'bob', '192.0.2.9'), true);
    for (let i = 0; i < 10; i++) assert.equal(await guess(identity, `user${i}`, '192.0.2.1'), 'wrong');
    assert.equal(await login(identity, 'ann', '192.0.2.9'), false);
    assert.equal(await login(identity, 'bob', '192.0.2.9'), true);
    assert.ok(Number(await guess(identity, 'user10', '192.0.2.200')) <= 360);
    assert.equal(await guess(identity, 'user11', '192.0.3.1'), 'wrong');
    identity.time.ms += 6 * 60_000;
    assert.equal(await login(identity, 'ann', '192.0.2.1'), true);
  });

  it('stops an address range that tries a hundred accounts slowly', async () => {
    await using identity = await testIdentity();
    for (let i = 0; i < 100; i++) {
      identity.time.ms += 60_000;
      assert.equal(await guess(identity, `user${i}`, '192.0.2.1'), 'wrong');
    }
    identity.time.ms += HOUR_MS;
    assert.ok(Number(await guess(identity, 'user100', '192.0.2.1')) > HOUR_MS / 1000);
    identity.time.ms += 24 * HOUR_MS;
    assert.equal(await guess(identity, 'user100', '192.0.2.1'), 'wrong');
  });

  it('never stops a token, nor a password that was just verified', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const { accessToken = '' } = await createToken(identity.deps, {}, ann);
    await identity.authenticator.authenticate(basic('ann', PASSWORD), '192.0.2.1');
    for (let i = 0; i < 20; i++) await guess(identity, 'ann', '192.0.2.1');
    for (const headers of [bearer(accessToken), basic('ann', accessToken), basic('ann', PASSWORD)]) {
      assert.equal((await identity.authenticator.authenticate(headers, '192.0.2.1')).authenticated, true);
    }
  });

  it('does not tell the right one of many guesses sent at once', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    const wrong = Array.from({ length: 20 }, (_, i) => basic('ann', `wrong password at once ${i}`));
    const all = [...wrong, basic('ann', PASSWORD)];
    const outcomes = await Promise.allSettled(
      all.map((headers) => identity.authenticator.authenticate(headers, '192.0.2.1')),
    );
    assert.ok(outcomes.every((outcome) => outcome.status === 'rejected'));
    const counted = outcomes.filter((o) => o.status === 'rejected' && isAppError(o.reason, 'unauthenticated'));
    assert.equal(counted.length, 5);
  });

  it('does no work for an attempt that has to wait', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    for (let i = 0; i < 5; i++) await guess(identity, 'ann', '192.0.2.1');
    await identity.passwords.stop();
    assert.equal(await guess(identity, 'ann', '192.0.2.1'), 1);
  });

  it('writes nothing while nobody fails', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    for (let i = 0; i < 3; i++) await login(identity, 'ann', '192.0.2.1');
    assert.deepEqual(await identity.database.kysely.selectFrom('login_failure').selectAll().execute(), []);
  });

  it('removes what it no longer looks at', async () => {
    await using identity = await testIdentity();
    await guess(identity, 'ann', '192.0.2.1');
    identity.time.ms += 100 * 24 * HOUR_MS;
    await identity.throttle.purge();
    assert.deepEqual(await identity.database.kysely.selectFrom('login_failure').selectAll().execute(), []);
  });
});

describe('addressRange', () => {
  const cases: [address: string, range: string][] = [
    ['192.0.2.77', '192.0.2'],
    ['::ffff:192.0.2.77', '192.0.2'],
    ['2001:db8:1:2ff:3::1', '2001:db8:1:200'],
    ['2001:db8:1:2fe::', '2001:db8:1:200'],
    ['2001:DB8::1', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['1::2:3:4:5:6:7', '1:0:2:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0'],
    ['', 'unknown'],
    ['somewhere', 'unknown'],
    ['1.2.3', 'unknown'],
  ];
  for (const [address, range] of cases) {
    it(`of "${address}" is "${range}"`, () => {
      assert.equal(addressRange(address), range);
    });
  }
});
