import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { isAppError } from '../core/errors.ts';
import { Passwords } from './passwords.ts';

const FAST = { memory: 64, passes: 1, parallelism: 1 };

describe('Passwords', () => {
  it('hashes with the parameters of the specification and takes only the same password', async (t) => {
    const passwords = new Passwords();
    t.after(() => passwords.stop());
    const hash = await passwords.hash('correct horse');
    assert.match(hash, /^\$argon2id\$v=19\$m=47104,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    assert.equal(await passwords.verify(hash, 'correct horse'), true);
    assert.equal(await passwords.verify(hash, 'correct horsE'), false);
    assert.equal(passwords.needsRehash(hash), false);
  });

  it('takes a hash made elsewhere with other parameters, and wants it renewed', async (t) => {
    const passwords = new Passwords({ parameters: FAST });
    t.after(() => passwords.stop());
    const foreign = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    assert.equal(await passwords.verify(foreign, 'password'), true);
    assert.equal(await passwords.verify(foreign, 'passworD'), false);
    assert.equal(passwords.needsRehash(foreign), true);
  });

  it('tells passwords apart after the 72nd byte, and takes the same characters however composed', async (t) => {
    const passwords = new Passwords({ parameters: FAST });
    t.after(() => passwords.stop());
    const hash = await passwords.hash(`${'a'.repeat(72)}b`);
    assert.equal(await passwords.verify(hash, `${'a'.repeat(72)}c`), false);
    assert.equal(await passwords.verify(await passwords.hash('caf\u00e9'), 'cafe\u0301'), true);
  });

  it('does no work for passwords over 1,024 bytes', async (t) => {
    const passwords = new Passwords({ parameters: FAST });
    t.after(() => passwords.stop());
    const hash = await passwords.hash('é'.repeat(512));
    assert.equal(await passwords.verify(hash, 'é'.repeat(512)), true);
    assert.equal(await passwords.verify(hash, `${'é'.repeat(512)}x`), false);
    await assert.rejects(passwords.hash('x'.repeat(1025)), (error) => isAppError(error, 'invalid'));
  });

  it('says no without a hash, after the same work', async (t) => {
    const passwords = new Passwords({ parameters: FAST });
    t.after(() => passwords.stop());
    assert.equal(await passwords.verify(undefined, 'anything'), false);
  });

  it('goes on with other threads after those it had ended for want of work', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const passwords = new Passwords({ parameters: FAST, workers: 1 });
    t.after(() => passwords.stop());
    const hash = await passwords.hash('correct horse');
    t.mock.timers.tick(60_000);
    assert.equal(await passwords.verify(hash, 'correct horse'), true);
    t.mock.timers.tick(5000);
    assert.equal(await passwords.verify(hash, 'battery staple'), false);
    // Ten seconds after the hash before the last, which the last one put off.
    t.mock.timers.tick(6000);
    assert.equal(await passwords.verify(hash, 'correct horse'), true);
  });

  it('refuses more than 64 waiting hashes, and does the others', async (t) => {
    const passwords = new Passwords({ parameters: FAST, workers: 1 });
    t.after(() => passwords.stop());
    const outcomes = await Promise.allSettled(Array.from({ length: 70 }, () => passwords.hash('correct horse')));
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    assert.equal(refused.length, 5);
    assert.ok(refused.every((outcome) => isAppError(outcome.reason, 'rate_limited')));
  });

  it('fails what waits when it is stopped, and what comes later', async () => {
    const passwords = new Passwords({ parameters: FAST, workers: 1 });
    const waiting = Array.from({ length: 3 }, () => passwords.hash('correct horse'));
    await Promise.all([
      passwords.stop(),
      ...waiting.map((hash) => assert.rejects(hash, (error) => isAppError(error, 'unavailable'))),
    ]);
    await assert.rejects(passwords.hash('correct horse'), (error) => isAppError(error, 'unavailable'));
  });

  it('refuses stored hashes of absurd cost', async (t) => {
    const passwords = new Passwords({ parameters: FAST });
    t.after(() => passwords.stop());
    const salt = 'c29tZXNhbHRzb21l';
    const tag = 'CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    for (const hash of [
      `$argon2id$v=19$m=9999999,t=1,p=1$${salt}$${tag}`,
      `$argon2id$v=19$m=64,t=999,p=1$${salt}$${tag}`,
      `$argon2i$v=19$m=64,t=1,p=1$${salt}$${tag}`,
      'plain',
      '',
    ]) {
      await assert.rejects(passwords.verify(hash, 'correct horse'), /stored password hash/);
    }
  });

  it('leaves the event loop and the pool of file access free', async (t) => {
    const passwords = new Passwords({ workers: 1 });
    t.after(() => passwords.stop());
    const order: string[] = [];
    const hashes = Array.from({ length: 4 }, () => passwords.hash('correct horse').then(() => order.push('hash')));
    for (let i = 0; i < 8; i++) {
      await stat(import.meta.filename);
      order.push('stat');
    }
    await Promise.all(hashes);
    // Eight reads one after another end before four hashes do: nothing had to wait for a hash.
    assert.ok(order.lastIndexOf('stat') < order.lastIndexOf('hash'));
  });
});
