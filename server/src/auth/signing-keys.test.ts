import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { listSigningKeys, retireSigningKey } from '../db/signing-keys.ts';
import { Secrets } from './secrets.ts';
import { SigningKeys } from './signing-keys.ts';
import { testDatabase } from './test-identity.ts';

describe('SigningKeys', () => {
  it('makes one key, however many ask and start at once', async () => {
    await using held = await testDatabase();
    const { database } = held;
    const secrets = new Secrets(randomBytes(32));
    const nodes = Array.from({ length: 4 }, () => new SigningKeys({ database, secrets }));
    const keys = await Promise.all([...nodes, ...nodes].map((node) => node.current()));
    assert.equal(new Set(keys.map((key) => key.id)).size, 1);
    const rows = await listSigningKeys(database.kysely);
    assert.equal(rows.length, 1);
    assert.ok(!rows[0]?.sealedPrivate.includes('"d"'));
  });

  it('finds a key another node made, looking at most every few seconds', async () => {
    await using held = await testDatabase();
    const { database } = held;
    const secrets = new Secrets(randomBytes(32));
    const time = { ms: 0 };
    const late = new SigningKeys({ database, secrets, clock: () => time.ms });
    assert.equal(await late.get('unknown'), undefined);
    const made = await new SigningKeys({ database, secrets }).current();
    assert.equal(await late.get(made.id), undefined);
    time.ms += 5000;
    assert.equal((await late.get(made.id))?.id, made.id);
  });

  it('does not know a retired key', async () => {
    await using held = await testDatabase();
    const { database } = held;
    const secrets = new Secrets(randomBytes(32));
    const time = { ms: 0 };
    const keys = new SigningKeys({ database, secrets, clock: () => time.ms });
    const other = new SigningKeys({ database, secrets, clock: () => time.ms });
    const { id } = await keys.current();
    assert.equal((await other.current()).id, id);
    await database.transaction((tx) => retireSigningKey(tx, id, 1));
    keys.invalidate();
    assert.equal(await keys.get(id), undefined);
    assert.notEqual((await keys.current()).id, id);
    assert.equal((await other.get(id))?.id, id);
    time.ms += 60_000;
    assert.equal(await other.get(id), undefined);
    assert.equal((await other.current()).id, (await keys.current()).id);
  });
});
