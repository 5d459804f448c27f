/** Client certificates: taken with their keys, listed without. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeCertificate } from '../../support/certificate.ts';
import { expectAdminOnly, expectStatus, getJson, onEachStorage } from './api-world.ts';

const ALL = '/artifactory/api/system/security/certificates';

onEachStorage('client certificates', (world) => {
  const post = (alias: string, body: string) =>
    world().app.admin.request('POST', `${ALL}/${alias}`, { headers: { 'content-type': 'application/text' }, body });

  test('are for administrators', async () => {
    await expectAdminOnly(world(), [
      ['GET', ALL],
      ['POST', `${ALL}/x`],
      ['DELETE', `${ALL}/x`],
    ]);
  });

  test('are listed by alias, and their keys are never shown', async () => {
    const { app } = world();
    const { certificate, key } = makeCertificate('client.example');
    const stored = await expectStatus(post('upstream', `${certificate}${key}`), 200);
    assert.deepEqual(stored.json(), { status: 200, message: 'The certificate was successfully installed' });
    const [row] = (await getJson(app.admin, ALL)) as Record<string, string>[];
    assert.deepEqual(
      [row?.['certificateAlias'], row?.['issuedTo'], row?.['issuedBy']],
      ['upstream', 'client.example', 'client.example'],
    );
    assert.ok(Date.parse(row?.['validUntil'] ?? '') > Date.now());
    const secret = key.split('\n')[1] ?? '';
    assert.ok(!JSON.stringify(app.core.configuration.document).includes(secret));
    for (const path of [ALL, '/artifactory/api/system/configuration', '/artifactory/api/system/audit']) {
      assert.ok(!(await app.admin.request('GET', path)).text.includes(secret), path);
    }
    await app.restart();
    assert.deepEqual(app.core.certificates.open('upstream'), { chain: `${certificate.trim()}\n`, key });
    await expectStatus(post('upstream', `${makeCertificate('other.example').certificate}${key}`), 400);
    const other = makeCertificate('other.example');
    await expectStatus(post('upstream', `${other.key}${other.certificate}`), 200);
    assert.equal(((await getJson(app.admin, ALL)) as Record<string, string>[])[0]?.['issuedTo'], 'other.example');
    await expectStatus(app.admin.request('DELETE', `${ALL}/upstream`), 200);
    await expectStatus(app.admin.request('DELETE', `${ALL}/upstream`), 404);
    assert.deepEqual(await getJson(app.admin, ALL), []);
  });

  test('are refused when they could not work', async () => {
    const { certificate, key } = makeCertificate('client.example');
    const expired = makeCertificate('old.example', -1);
    for (const body of [
      '',
      'no PEM',
      certificate,
      key,
      `${certificate}${key}${key}`,
      `${certificate.repeat(11)}${key}`,
      `${certificate.repeat(1000)}${key}`,
      `${certificate.replace(/[A-Za-z]{8}/, 'AAAAAAAA')}${key}`,
      `${certificate}${key.replace(/\n[A-Za-z0-9+/]{8}/, '\nAAAAAAAA')}`,
      `${expired.certificate}${expired.key}`,
    ]) {
      const answer = await post('bad', body);
      assert.equal(answer.status, 400, `${body.slice(0, 60)}: ${answer.text}`);
    }
    await expectStatus(post('a%20b', `${certificate}${key}`), 400);
    assert.deepEqual(await getJson(world().app.admin, ALL), []);
  });
});
