import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCKED, PLAIN } from '../../test/support/pgp-blocks.ts';
import { PgpProblem, verifyPgpKeyPair } from './pgp-keys.ts';

test('takes keys that belong together, locked or not', async () => {
  await verifyPgpKeyPair(LOCKED);
  await verifyPgpKeyPair(PLAIN);
  await verifyPgpKeyPair({ ...PLAIN, passphrase: 'needs none' });
  await verifyPgpKeyPair({ ...LOCKED, publicKey: LOCKED.publicKey.replaceAll('\n', '\r\n') });
});

test('refuses what could not be used, with a reason', async () => {
  const damaged = (text: string) =>
    text.replace(/\n([A-Za-z0-9+/]{20})/, (line) => `\n${[...line.slice(1)].reverse().join('')}`);
  const cases: [object, RegExp][] = [
    [{ passphrase: 'close sesame' }, /passphrase/],
    [{ passphrase: '' }, /passphrase/],
    [{ publicKey: PLAIN.publicKey }, /does not belong/],
    [{ privateKey: LOCKED.publicKey }, /private key must be one armoured block/],
    [{ publicKey: LOCKED.privateKey }, /public key must be one armoured block/],
    [{ publicKey: damaged(LOCKED.publicKey) }, /checksum/],
    [{ publicKey: '' }, /armoured/],
    [{ publicKey: LOCKED.publicKey.replace(/\n\n[\s\S]*\n-----END/, '\n\nmDM=\n-----END') }, /cut off/],
    [{ publicKey: LOCKED.publicKey.replace(/\n\n[\s\S]*\n-----END/, '\n\n!!!\n-----END') }, /base64/],
    [{ publicKey: LOCKED.publicKey.replace(/\n\n[\s\S]*\n-----END/, '\n\nAAAAAAAA\n-----END') }, /does not begin/],
  ];
  for (const [change, reason] of cases) {
    await assert.rejects(verifyPgpKeyPair({ ...LOCKED, ...change }), (error: unknown) => {
      assert.ok(error instanceof PgpProblem);
      assert.match(error.message, reason);
      return true;
    });
  }
});
