import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressesOf } from './setup.ts';

const BINDINGS = {
  domain: 'reg.example',
  hosts: { 'images.example': 'app', 'others.example': 'other' },
  ports: { 5001: 'app', 5002: 'other' },
};
const NONE = { hosts: {}, ports: {} };

test('images are named by the path where no host name and no port stand for a repository', () => {
  assert.deepEqual(addressesOf('app', 'https://host.example', NONE), ['host.example/app/']);
  assert.deepEqual(addressesOf('app', 'http://[::1]:8081', NONE), ['[::1]:8081/app/']);
  assert.deepEqual(addressesOf('app', 'http://host', NONE), ['host:80/app/']);
  assert.deepEqual(addressesOf('app', 'https://host', NONE), ['host:443/app/']);
  assert.deepEqual(addressesOf('app', 'http://localhost', NONE), ['localhost/app/']);
});

test('the name by which the server was reached comes first, and no path below a name that is bound', () => {
  const names = (origin: string, key = 'app') => addressesOf(key, origin, BINDINGS);
  const [byHost, byDomain] = ['images.example/', 'app.reg.example/'];
  assert.deepEqual(names('https://main.example'), ['main.example/app/', byHost, byDomain, 'main.example:5001/']);
  assert.deepEqual(names('https://images.example'), [byHost, byDomain, 'images.example:5001/']);
  assert.deepEqual(names('https://app.reg.example'), [byDomain, byHost, 'app.reg.example:5001/']);
  assert.deepEqual(names('http://main.example:5001'), ['main.example:5001/']);
  assert.deepEqual(names('http://main.example:5002'), ['main.example:5001/']);
  assert.deepEqual(names('http://main.example:5002', 'third'), []);
  assert.deepEqual(addressesOf('third', 'https://images.example', { ...BINDINGS, domain: undefined }), []);
});
