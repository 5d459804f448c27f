import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RepoKey, RepoPath } from '../core/ids.ts';
import { Database } from '../db/database.ts';
import { createPermissionTarget } from '../db/permission-targets.ts';
import { deleteToken } from '../db/tokens.ts';
import { updateUser } from '../db/users.ts';
import { createToken } from './account-tokens.ts';
import { PermissionIndex } from './permission-index.ts';
import { Principals } from './principals.ts';
import { bearer, testIdentity } from './test-identity.ts';

describe('Principals', () => {
  it('sees within five seconds what another node changed', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const { tokenId } = await createToken(identity.deps, {}, ann);
    const shared = new Database(identity.database.kysely, { ...identity.database.dialect, exclusive: false });
    const other = new Principals({ database: shared, clock: () => identity.time.ms });
    const read = async () => [await other.getAccount(ann.id), await other.getToken(tokenId)];
    const before = await read();
    assert.ok(before.every((row) => row !== undefined));
    await identity.database.transaction(async (tx) => {
      await updateUser(tx, ann.id, { enabled: false });
      await deleteToken(tx, tokenId);
    });
    identity.time.ms += 4999;
    assert.deepEqual(await read(), before);
    identity.time.ms += 1;
    assert.deepEqual([other.peekAccount(ann.id), other.peekToken(tokenId)], [undefined, undefined]);
    assert.deepEqual(await read(), [undefined, undefined]);
  });

  it('does not remember what it read before a change', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    identity.principals.invalidate();
    const reading = identity.principals.getAccount(ann.id);
    identity.principals.invalidate();
    assert.equal((await reading)?.name, 'ann');
    assert.equal(identity.principals.peekAccount(ann.id), undefined);
  });

  it('does not know an account by a name it no longer has, and a token does not follow it', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const { accessToken = '' } = await createToken(identity.deps, {}, ann);
    await identity.authenticator.authenticate(bearer(accessToken), '192.0.2.1');
    await identity.database.transaction(async (tx) => {
      await tx.updateTable('user').set({ name: 'eve' }).where('id', '=', ann.id).execute();
      await updateUser(tx, ann.id, {});
    });
    identity.principals.invalidate();
    assert.equal(await identity.principals.getAccountByName('ann'), undefined);
    assert.equal((await identity.principals.getAccountByName('eve'))?.id, ann.id);
    await assert.rejects(identity.authenticator.authenticate(bearer(accessToken), '192.0.2.1'), /credentials/);
  });
});

describe('PermissionIndex beside other nodes', () => {
  it('is to be refreshed after five seconds', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const shared = new Database(identity.database.kysely, { ...identity.database.dialect, exclusive: false });
    const options = { anonymousAccess: false, classOf: () => 'local' as const };
    const index = new PermissionIndex({ database: shared, clock: () => identity.time.ms }, options);
    const reads = () => index.allows(ann, 'read', 'libs' as RepoKey, 'a' as RepoPath);
    await index.refresh();
    const grants = [{ kind: 'user' as const, subject: ann.id, actions: ['read' as const] }];
    const target = { name: 't', repositories: ['libs'], includes: ['**'], excludes: [], grants };
    await identity.database.transaction((tx) => createPermissionTarget(tx, target));
    identity.time.ms += 4999;
    assert.deepEqual([index.isFresh, reads()], [true, false]);
    identity.time.ms += 1;
    assert.equal(index.isFresh, false);
    await index.refresh();
    assert.equal(reads(), true);
  });
});
