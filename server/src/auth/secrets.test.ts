import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openSecrets, parseMasterKey, Secrets } from './secrets.ts';
import { testDatabase } from './test-identity.ts';

describe('Secrets', () => {
  it('opens what it sealed, only for the same purpose and place', () => {
    const secrets = new Secrets(randomBytes(32));
    const sealed = secrets.seal('upstream password', 'hunter2', 'repository 7');
    assert.equal(secrets.open('upstream password', sealed, 'repository 7').toString(), 'hunter2');
    assert.notEqual(sealed, secrets.seal('upstream password', 'hunter2', 'repository 7'));
    for (const [purpose, text, context] of [
      ['upstream password', sealed, 'repository 8'],
      ['signing key', sealed, 'repository 7'],
      ['upstream password', `${sealed.slice(0, -2)}AA`, 'repository 7'],
      ['upstream password', sealed.replace('v1.', 'v2.'), 'repository 7'],
      ['upstream password', 'v1.AAAA', 'repository 7'],
    ] as const) {
      assert.throws(() => secrets.open(purpose, text, context), /sealed/);
    }
    assert.throws(() => new Secrets(randomBytes(32)).open('upstream password', sealed, 'repository 7'), /sealed/);
  });

  it('gives each purpose its own hash', () => {
    const secrets = new Secrets(randomBytes(32));
    assert.deepEqual(secrets.hmac('a', 'text'), secrets.hmac('a', 'text'));
    assert.notDeepEqual(secrets.hmac('a', 'text'), secrets.hmac('b', 'text'));
  });
});

describe('parseMasterKey', () => {
  it('takes hex and base64', () => {
    const key = randomBytes(32);
    assert.deepEqual(parseMasterKey(`${key.toString('hex')}\n`), key);
    assert.deepEqual(parseMasterKey(key.toString('base64')), key);
  });

  for (const text of ['', 'abc', '0'.repeat(64), randomBytes(31).toString('hex'), 'A'.repeat(44)]) {
    it(`refuses ${JSON.stringify(text.slice(0, 8))}`, () => {
      assert.throws(() => parseMasterKey(text), /master key/);
    });
  }
});

describe('openSecrets', () => {
  it('makes a key that only its owner can read, and finds it again', async () => {
    await using held = await testDatabase();
    const { database, folder } = held;
    const sealed = (await openSecrets(database, { folder })).seal('test', 'x', 'here');
    assert.equal((await stat(join(folder, 'master.key'))).mode & 0o777, 0o600);
    assert.equal((await openSecrets(database, { folder })).open('test', sealed, 'here').toString(), 'x');
  });

  it('agrees on one key when two processes start at once', async () => {
    await using held = await testDatabase();
    const { database, folder } = held;
    const [one, two] = await Promise.all([openSecrets(database, { folder }), openSecrets(database, { folder })]);
    assert.deepEqual(one.hmac('test', 'x'), two.hmac('test', 'x'));
  });

  it('refuses a key that is missing, another or open to others', async () => {
    await using held = await testDatabase();
    const { database, folder } = held;
    const file = join(folder, 'master.key');
    await openSecrets(database, { folder });
    await chmod(file, 0o640);
    await assert.rejects(openSecrets(database, { folder }), /other users/);
    await chmod(file, 0o600);
    const key = await readFile(file, 'utf8');
    await writeFile(file, randomBytes(32).toString('hex'));
    await assert.rejects(openSecrets(database, { folder }), /not the one/);
    await assert.rejects(openSecrets(database, { key: randomBytes(32) }), /not the one/);
    await rm(file);
    await assert.rejects(openSecrets(database, { folder }), /missing/);
    await openSecrets(database, { key: parseMasterKey(key) });
  });
});
