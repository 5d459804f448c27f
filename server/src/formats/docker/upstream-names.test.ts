import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalName, imagePrefix, registryAddress } from './upstream-names.ts';

test('every spelling of Docker Hub is one registry', () => {
  for (const text of [
    'https://registry-1.docker.io/',
    'https://registry-1.docker.io',
    'https://index.docker.io/v1/',
    'https://index.docker.io',
    'http://docker.io',
    'https://docker.io/library',
    'https://hub.docker.com/',
    'https://registry.hub.docker.com/v2/',
  ]) {
    assert.equal(registryAddress(new URL(text)).href, 'https://registry-1.docker.io/', text);
    assert.equal(imagePrefix(new URL(text)), '', text);
  }
  assert.equal(registryAddress(new URL('https://me:secret@docker.io')).href, 'https://me:secret@registry-1.docker.io/');
});

test('other addresses keep their path, whether or not it says v2', () => {
  for (const [text, base, prefix] of [
    ['https://ghcr.io', 'https://ghcr.io/', ''],
    ['https://quay.io/v2', 'https://quay.io/', ''],
    ['https://quay.io/v2/', 'https://quay.io/', ''],
    ['http://10.0.0.5:5000/', 'http://10.0.0.5:5000/', ''],
    ['https://a.example/artifactory/api/docker/hub', 'https://a.example/artifactory/api/docker/hub/', ''],
    ['https://a.example/artifactory/api/docker/hub/v2/', 'https://a.example/artifactory/api/docker/hub/', ''],
    ['https://a.example/v2/docker-local', 'https://a.example/', 'docker-local/'],
    ['https://europe-docker.pkg.dev/v2/project/repo/', 'https://europe-docker.pkg.dev/', 'project/repo/'],
    ['https://a.example//x//y/?q=1', 'https://a.example/x/y/', ''],
  ] as const) {
    assert.equal(registryAddress(new URL(text)).href, base, text);
    assert.equal(imagePrefix(new URL(text)), prefix, text);
  }
});

test('only Docker Hub has images below library/', () => {
  const hub = { url: new URL('https://docker.io') };
  assert.equal(canonicalName('nginx', hub), 'library/nginx');
  assert.equal(canonicalName('library/nginx', hub), 'library/nginx');
  assert.equal(canonicalName('bitnami/nginx', hub), 'bitnami/nginx');
  assert.equal(canonicalName('nginx', { url: new URL('https://mirror.gcr.io') }), 'nginx');
  assert.equal(canonicalName('nginx', { url: new URL('https://registry-1.docker.io.evil.example') }), 'nginx');
});
