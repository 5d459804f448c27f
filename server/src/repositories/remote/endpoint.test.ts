import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { Secrets } from '../../auth/secrets.ts';
import { parseRepoKey } from '../../core/ids.ts';
import { UpstreamFailure } from '../../core/upstream.ts';
import { revealed } from '../../upstream/endpoint.ts';
import { mergeSections } from '../configuration-merge.ts';
import { parseSettings, type Settings, sealSettings } from '../settings.ts';
import { type EndpointDeps, endpointOf } from './endpoint.ts';

const secrets = new Secrets(randomBytes(32));
const KEY = parseRepoKey('Far');

function deps(proxies: Settings = {}): EndpointDeps {
  const { sections } = mergeSections(secrets, {}, { proxies });
  return {
    secrets,
    certificates: { open: (alias) => (alias === 'client' ? { chain: 'chain', key: 'key' } : undefined) },
    configuration: { document: { revision: 1, sections } },
  };
}

function row(given: Settings, before: Settings = {}) {
  const config = { ...before, ...sealSettings(secrets, KEY, parseSettings('remote', given), before) };
  return { key: KEY, rclass: 'remote' as const, packageType: 'generic', config };
}

const PROXIES = {
  outer: { host: 'proxy.example', port: 3128, username: 'p', password: 'hidden', platformDefault: true },
  other: { host: '[fd00::1]', port: 8080 },
};

describe('the endpoint of a remote repository', () => {
  test('has what was set, and defaults for the rest', () => {
    const plain = endpointOf(row({ url: 'https://files.example/a' }), deps());
    assert.equal(plain.url, 'https://files.example/a');
    assert.deepEqual(
      [plain.username, plain.password, plain.proxy, plain.clientCertificate, plain.socketTimeoutMillis],
      [undefined, undefined, undefined, undefined, 15_000],
    );
    const set = endpointOf(
      row({
        url: 'https://files.example/a',
        username: 'ann',
        password: 'canary',
        clientTlsCertificate: 'client',
        allowAnyHostAuth: true,
        enableCookieManagement: true,
        queryParams: 'a=b',
        localAddress: '10.0.0.1',
        assumedOfflinePeriodSecs: 0,
        customHttpHeaders: [
          { name: 'X-Token', value: 'canary', sensitive: true },
          { name: 'X-Team', value: 'tools', sensitive: false },
        ],
      }),
      deps(),
    );
    assert.equal(revealed(set.password), 'canary');
    assert.equal(revealed(set.clientCertificate?.key), 'key');
    assert.deepEqual(
      set.customHttpHeaders?.map(({ name, value }) => [name, revealed(value)]),
      [
        ['X-Token', 'canary'],
        ['X-Team', 'tools'],
      ],
    );
    assert.deepEqual([set.allowAnyHostAuth, set.enableCookieManagement, set.queryParams], [true, true, 'a=b']);
    assert.deepEqual([set.localAddress, set.assumedOfflinePeriodSecs], ['10.0.0.1', 0]);
    assert.ok(!JSON.stringify(set).includes('canary'));
  });

  test('goes through the proxy that is named, or the default one, or none', () => {
    const url = 'https://files.example';
    const byDefault = endpointOf(row({ url }), deps(PROXIES)).proxy;
    assert.deepEqual([byDefault?.host, byDefault?.port, byDefault?.username], ['proxy.example', 3128, 'p']);
    assert.equal(revealed(byDefault?.password), 'hidden');
    assert.equal(endpointOf(row({ url, proxy: 'other' }), deps(PROXIES)).proxy?.host, 'fd00::1');
    assert.equal(endpointOf(row({ url, disableProxy: true }), deps(PROXIES)).proxy, undefined);
  });

  test('is none where a proxy or a certificate is named that does not exist', () => {
    const url = 'https://files.example';
    for (const given of [
      { url, proxy: 'gone' },
      { url, clientTlsCertificate: 'gone' },
      { url, proxy: 'toString' },
    ]) {
      assert.throws(() => endpointOf(row(given), deps(PROXIES)), UpstreamFailure);
    }
  });

  test('has no password of a proxy that is another by now', () => {
    const before = mergeSections(secrets, {}, { proxies: PROXIES }).sections;
    const passwordAfter = (change: Settings) => {
      const { sections } = mergeSections(secrets, before, { proxies: { outer: change } });
      const configuration = { document: { revision: 2, sections } };
      return revealed(endpointOf(row({ url: 'https://files.example' }), { ...deps(), configuration }).proxy?.password);
    };
    assert.equal(passwordAfter({ username: 'q' }), 'hidden');
    assert.equal(passwordAfter({ host: 'elsewhere.example' }), '');
    assert.equal(passwordAfter({ port: 3129, password: '********' }), '');
    assert.equal(passwordAfter({ host: 'elsewhere.example', password: 'new' }), 'new');
  });

  test('has no secret that was entered for another host', () => {
    const customHttpHeaders = [
      { name: 'X-Token', value: 'canary', sensitive: true },
      { name: 'X-Team', value: 'tools', sensitive: false },
    ];
    const before = row({ url: 'https://one.example/a', username: 'ann', password: 'canary', customHttpHeaders }).config;
    const masked = customHttpHeaders.map((header) => (header.sensitive ? { ...header, value: '********' } : header));
    for (const given of [
      { url: 'https://two.example/a' },
      { url: 'http://one.example/a' },
      { url: 'https://one.example:8443/a', password: '********', customHttpHeaders: masked },
    ]) {
      const moved = endpointOf(row(given, before), deps());
      assert.equal(moved.password, undefined);
      assert.deepEqual(moved.customHttpHeaders, [{ name: 'X-Team', value: 'tools' }]);
    }
    const same = endpointOf(row({ url: 'https://one.example/b', password: '********' }, before), deps());
    assert.equal(revealed(same.password), 'canary');
    assert.equal(same.customHttpHeaders?.length, 2);
    const again = { url: 'https://two.example/a', password: 'new', customHttpHeaders };
    const entered = endpointOf(row(again, before), deps());
    assert.equal(revealed(entered.password), 'new');
    assert.equal(entered.customHttpHeaders?.length, 2);
  });
});
