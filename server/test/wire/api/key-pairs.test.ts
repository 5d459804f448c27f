/** Key pairs: kept with their private keys, shown without, and there as long as a repository names them. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { LOCKED, PLAIN } from '../../support/pgp-blocks.ts';
import { createUser, expectAdminOnly, expectStatus, getJson, grant, onEachStorage, sendJson } from './api-world.ts';

const ALL = '/artifactory/api/security/keypair';
const REPOSITORIES = '/artifactory/api/repositories';

function rsa(bits = 2048, passphrase?: string) {
  return generateKeyPairSync('rsa', {
    modulusLength: bits,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', ...(passphrase && { cipher: 'aes-256-cbc', passphrase }) },
  });
}

onEachStorage('key pairs', (world) => {
  const gpg = { pairName: 'packages', pairType: 'GPG', alias: 'the packages', ...LOCKED };
  const post = (body: object) => sendJson(world().app.admin, 'POST', ALL, body);

  test('are for administrators', async () => {
    await expectAdminOnly(world(), [
      ['GET', ALL],
      ['POST', ALL],
      ['PUT', ALL],
      ['POST', `${ALL}/verify`],
      ['DELETE', `${ALL}/x`],
    ]);
  });

  test('are kept, and their private keys and passphrases are never shown', async () => {
    const { app, ann } = world();
    assert.equal((await expectStatus(post(gpg), 201)).text, '');
    await expectStatus(post(gpg), 409);
    const shown = {
      pairName: 'packages',
      pairType: 'GPG',
      alias: 'the packages',
      publicKey: LOCKED.publicKey,
      unavailable: false,
    };
    assert.deepEqual(await getJson(ann, `${ALL}/packages`), shown);
    assert.deepEqual(await getJson(app.admin, ALL), [shown]);
    const secret = LOCKED.privateKey.split('\n')[3] ?? '';
    assert.ok(secret.length > 20);
    for (const path of [
      ALL,
      `${ALL}/packages`,
      '/artifactory/api/system/configuration',
      '/artifactory/api/system/audit',
    ]) {
      const { text } = await app.admin.request('GET', path);
      assert.ok(!text.includes(secret) && !text.includes(LOCKED.passphrase), path);
    }
    const stored = JSON.stringify(app.core.configuration.document);
    assert.ok(!stored.includes(secret) && !stored.includes(LOCKED.passphrase));
    await app.restart();
    const { privateKey, passphrase } = LOCKED;
    assert.deepEqual(app.core.keyPairs.open('packages'), { privateKey, passphrase });
    await expectStatus(sendJson(app.admin, 'PUT', ALL, { ...gpg, ...PLAIN, pairType: 'gpg' }), 200);
    assert.equal(((await getJson(ann, `${ALL}/packages`)) as typeof shown).publicKey, PLAIN.publicKey);
    await expectStatus(sendJson(app.admin, 'PUT', ALL, { ...gpg, pairName: 'none' }), 404);
    await expectStatus(app.admin.request('DELETE', `${ALL}/packages`), 204);
    await expectStatus(app.admin.request('DELETE', `${ALL}/packages`), 404);
    await expectStatus(app.admin.request('GET', `${ALL}/packages`), 404);
    await expectStatus(app.admin.request('GET', `${ALL}/__proto__`), 404);
  });

  test('are refused when they could not sign', async () => {
    const plain = rsa();
    const locked = rsa(2048, 'open sesame');
    const good = { pairName: 'apk', pairType: 'RSA', ...plain };
    const verify = (body: object) => sendJson(world().app.admin, 'POST', `${ALL}/verify`, body);
    for (const body of [good, { ...good, ...locked, passphrase: 'open sesame' }, gpg]) {
      await expectStatus(verify(body), 200);
    }
    const { publicKey: elliptic } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    // 2^31 - 1 rounds in place of those it has.
    const slow = slowed(locked.privateKey);
    for (const body of [
      {},
      { ...good, pairName: '../x' },
      { ...good, pairType: 'DSA' },
      { ...good, publicKey: rsa().publicKey },
      { ...good, publicKey: elliptic },
      { ...good, publicKey: plain.privateKey },
      { ...good, ...rsa(1024) },
      { ...good, ...locked },
      { ...good, ...locked, passphrase: 'close sesame' },
      { ...good, ...locked, privateKey: slow, passphrase: 'open sesame' },
      { ...good, privateKey: 'no PEM' },
      { ...good, pairType: 'GPG' },
      { ...gpg, passphrase: 'close sesame' },
      { ...gpg, publicKey: PLAIN.publicKey },
      { ...gpg, pairType: 'RSA' },
    ]) {
      await expectStatus(verify(body), 400);
      await expectStatus(post(body), 400);
    }
    assert.deepEqual(await getJson(world().app.admin, ALL), []);
  });

  test('stay while a repository names them, and are handed to who reads it', async () => {
    const { app } = world();
    await expectStatus(post({ ...gpg, pairName: 'first' }), 201);
    await expectStatus(post({ ...gpg, ...PLAIN, pairName: 'second' }), 201);
    const make = (body: object) => sendJson(app.admin, 'PUT', `${REPOSITORIES}/signed`, { rclass: 'local', ...body });
    assert.match((await expectStatus(make({ primaryKeyPairRef: 'none' }), 400)).text, /no key pair \\"none\\"/);
    await expectStatus(make({ primaryKeyPairRef: 'first', secondaryKeyPairRef: 'second' }), 200);
    await expectStatus(sendJson(app.admin, 'POST', `${REPOSITORIES}/signed`, { primaryKeyPairRef: 'none' }), 400);
    assert.match((await expectStatus(app.admin.request('DELETE', `${ALL}/first`), 409)).text, /signed/);
    const reader = await createUser(app, 'key-reader');
    const keys = `${ALL}/public/repositories/signed`;
    await expectStatus(reader.request('GET', keys), 404);
    await expectStatus(app.anonymous.request('GET', keys), 401);
    await grant(app, 'key-readers', ['signed'], { 'key-reader': ['r'] });
    const answer = await expectStatus(reader.request('GET', keys), 200);
    assert.equal(answer.text, `${LOCKED.publicKey}\n${PLAIN.publicKey}\n`);
    await expectStatus(app.admin.request('GET', `${ALL}/public/repositories/generic-local`), 404);
    await expectStatus(sendJson(app.admin, 'POST', `${REPOSITORIES}/signed`, { primaryKeyPairRef: '' }), 200);
    await expectStatus(app.admin.request('DELETE', `${ALL}/first`), 204);
    await expectStatus(app.admin.request('DELETE', `${ALL}/second`), 409);
    await expectStatus(app.admin.request('DELETE', `${REPOSITORIES}/signed`), 200);
    await expectStatus(app.admin.request('DELETE', `${ALL}/second`), 204);
  });
});

/** The locked key with the number of its rounds, which is in the text as an integer of two bytes, made huge. */
function slowed(pem: string): string {
  const bytes = Buffer.from(pem.replace(/-----[A-Z ]+-----/g, ''), 'base64');
  const at = bytes.indexOf(Buffer.from([0x02, 0x02, 0x08, 0x00]));
  assert.ok(at > 0, 'the key is locked with 2048 rounds');
  const huge = Buffer.concat([
    bytes.subarray(0, at),
    Buffer.from([0x02, 0x04, 0x7f, 0xff, 0xff, 0xff]),
    bytes.subarray(at + 4),
  ]);
  return `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${huge.toString('base64')}\n-----END ENCRYPTED PRIVATE KEY-----\n`;
}
