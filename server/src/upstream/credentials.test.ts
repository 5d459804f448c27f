import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSameDomain } from './credentials.ts';
import { realmOf } from './tokens.ts';

test('hosts below one registered domain are of one owner', () => {
  const same: [string, string][] = [
    ['registry-1.docker.io', 'auth.docker.io'],
    ['registry.gitlab.com', 'gitlab.com'],
    ['ghcr.io', 'ghcr.io'],
    ['QUAY.io', 'quay.io.'],
    ['a.example.co.uk', 'b.example.co.uk'],
    ['us-docker.pkg.dev', 'us-docker.pkg.dev'],
    ['10.0.0.1', '10.0.0.1'],
    ['[::1]', '[::1]'],
    ['registry', 'registry'],
  ];
  for (const [one, other] of same) assert.equal(isSameDomain(one, other), true, `${one} ${other}`);
});

test('hosts that anybody may have next to each other are not', () => {
  const different: [string, string][] = [
    ['docker.io', 'docker.io.evil.example'],
    ['docker.io', 'evildocker.io'],
    ['a.co.uk', 'b.co.uk'],
    ['co.uk', 'a.co.uk'],
    ['a.com.au', 'b.com.au'],
    ['one.azurecr.io', 'two.azurecr.io'],
    ['us-docker.pkg.dev', 'eu-docker.pkg.dev'],
    ['a.s3.amazonaws.com', 'b.s3.amazonaws.com'],
    ['a.github.io', 'b.github.io'],
    ['one.jfrog.io', 'two.jfrog.io'],
    ['10.0.0.1', '10.0.0.2'],
    ['1.0.0.1', '2.0.0.1'],
    ['[2001:db8::1]', '[2001:db8::2]'],
    ['registry', 'auth'],
    ['', ''],
    ['a..example.com', 'b.example.com.evil'],
  ];
  for (const [one, other] of different) assert.equal(isSameDomain(one, other), false, `${one} ${other}`);
});

test('a realm is https, or as the one that challenges', () => {
  const challenge = (realm: string) => ({ scheme: 'bearer', parameters: { realm } });
  const safe = new URL('https://registry.example.com/');
  const plain = new URL('http://registry.example.com/');
  assert.equal(realmOf(challenge('https://u:p@auth.example.com/t?a#b'), plain).href, 'https://auth.example.com/t?a');
  assert.equal(realmOf(challenge('http://auth.example.com/t'), plain).href, 'http://auth.example.com/t');
  assert.throws(() => realmOf(challenge('http://auth.example.com/t'), safe), /must be an https one/);
  assert.throws(() => realmOf(challenge('ftp://auth.example.com/t'), plain), /must be an https one/);
});
