import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../lib/secret.ts';
import type { Environment } from './environment.ts';
import { ConfigError, loadConfig } from './load.ts';

function load(options: {
  readonly yaml?: string;
  readonly env?: Environment;
  readonly files?: Record<string, string>;
}) {
  const files: Record<string, string> = { ...options.files };
  if (options.yaml !== undefined) files['entrepot.yaml'] = options.yaml;
  return loadConfig(options.env ?? {}, (path) => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return text;
  });
}

function mistakes(options: Parameters<typeof load>[0]): string[] {
  try {
    load(options);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map((problem) => `${problem.path}: ${problem.message}`);
  }
  return [];
}

test('without a file and a variable every field has its default', () => {
  const config = load({});
  assert.equal(config.http.port, 8082);
  assert.equal(config.http.headerTimeoutMs, 15_000);
  assert.equal(config.database.url, undefined);
  assert.equal(config.storage.s3.region, 'us-east-1');
  assert.equal(config.security.throttle.sourceFailures, 5);
  assert.equal(config.bootstrap, 'default');
  assert.deepEqual(config.docker.hosts, {});
});

test('the configuration is frozen at every depth', () => {
  const config = load({ yaml: 'docker: { hosts: { a.example.com: libs } }' });
  for (const part of [config, config.http, config.storage.s3, config.security.throttle, config.docker.hosts]) {
    assert.ok(Object.isFrozen(part));
  }
  assert.ok(Object.isFrozen(config.http.trustedProxies));
});

test('the environment wins over the file', () => {
  const config = load({
    yaml: 'http:\n  port: 9000\n  host: 127.0.0.1\n',
    env: { ENTREPOT_HTTP__PORT: '9001', ENTREPOT_STORAGE__S3__PART_SIZE_BYTES: '5242880' },
  });
  assert.equal(config.http.port, 9001);
  assert.equal(config.http.host, '127.0.0.1');
  assert.equal(config.storage.s3.partSizeBytes, 5_242_880);
});

test('ENTREPOT_CONFIG names the file', () => {
  const config = load({ env: { ENTREPOT_CONFIG: '/etc/e.yaml' }, files: { '/etc/e.yaml': 'log: { level: debug }' } });
  assert.equal(config.log.level, 'debug');
  assert.match(mistakes({ env: { ENTREPOT_CONFIG: '/nowhere' } })[0] ?? '', /^\/nowhere: cannot be read \(ENOENT\)/);
});

test('the environment gives lists, maps, switches and choices', () => {
  const config = load({
    yaml: 'docker: { hosts: { old.example.com: libs }, ports: { 5001: a } }',
    env: {
      ENTREPOT_HTTP__TRUSTED_PROXIES: '10.0.0.0/8, fd00::/8,192.0.2.7',
      ENTREPOT_DOCKER__HOSTS: '{"new.example.com":"docker-local"}',
      ENTREPOT_SECURITY__ANONYMOUS_ACCESS: 'true',
      ENTREPOT_LOG__LEVEL: 'warn',
    },
  });
  assert.deepEqual(config.http.trustedProxies, ['10.0.0.0/8', 'fd00::/8', '192.0.2.7']);
  assert.deepEqual(config.docker.hosts, { 'new.example.com': 'docker-local' });
  assert.deepEqual(config.docker.ports, { '5001': 'a' });
  assert.equal(config.security.anonymousAccess, true);
});

test('fields and variables without a value say nothing', () => {
  const config = load({ yaml: '# nothing\nhttp:\n  port:\n', env: { ENTREPOT_HTTP__BASE_URL: '' } });
  assert.equal(config.http.port, 8082);
  assert.equal(config.http.baseUrl, undefined);
  assert.equal(load({ yaml: '# only a comment\n' }).http.port, 8082);
  assert.equal(load({ yaml: '' }).http.port, 8082);
});

test('an upstream is an address without anything else', () => {
  const config = load({
    yaml: 'upstreams: { maven: https://maven.example/maven2/ }',
    env: { ENTREPOT_UPSTREAMS__NPM: 'http://npm.example:4873/a', ENTREPOT_UPSTREAMS__HELM: '' },
  });
  assert.deepEqual(config.upstreams, { maven: 'https://maven.example/maven2', npm: 'http://npm.example:4873/a' });
  for (const text of [
    'npm.example',
    'file:///a',
    'https://u:p@a.example',
    'https://a.example/?b',
    'https://a.example/#c',
  ]) {
    assert.match(mistakes({ env: { ENTREPOT_UPSTREAMS__NPM: text } })[0] ?? '', /must be an http or https URL without/);
  }
  assert.match(mistakes({ env: { ENTREPOT_UPSTREAMS__NUGET: 'https://a.example' } })[0] ?? '', /is no known variable/);
});

test('secrets are masked and may come from files', () => {
  const config = load({
    yaml: 'database: { urlFile: /run/url }\nstorage: { s3: { accessKeyId: a, secretAccessKeyFile: /run/s3 } }',
    env: { ENTREPOT_SECURITY__MASTER_KEY_FILE: '/run/key', ENTREPOT_ADMIN_PASSWORD: 'swordfish' },
    files: { '/run/url': 'postgres://u:hunter2@db/x\n', '/run/s3': 's3-secret', '/run/key': 'c2VjcmV0\r\n' },
  });
  assert.ok(config.database.url instanceof Secret);
  assert.equal(config.database.url.reveal(), 'postgres://u:hunter2@db/x');
  assert.equal(config.storage.s3.secretAccessKey?.reveal(), 's3-secret');
  assert.equal(config.security.masterKey?.reveal(), 'c2VjcmV0');
  assert.equal(config.adminPassword?.reveal(), 'swordfish');
  assert.doesNotMatch(JSON.stringify(config), /hunter2|s3-secret|c2VjcmV0|swordfish/);
});

test('a secret in the environment replaces the other form of it in the file', () => {
  const config = load({
    yaml: 'database: { urlFile: /run/gone }',
    env: { ENTREPOT_DATABASE__URL: 'postgres://db/x' },
  });
  assert.equal(config.database.url?.reveal(), 'postgres://db/x');
});

test('all mistakes are reported together', () => {
  const found = mistakes({
    yaml: [
      'http: { prot: 1, port: 70000, baseUrl: "https://x/y", trustedProxies: [10.0.0.0/33] }',
      'htp: {}',
      'storage: { driver: s4, inlineBytes: "16k" }',
      'docker: { maxManifestBytes: 1, hosts: { "a b": libs, ok.example.com: "-" }, ports: { 99999: libs } }',
      'adminPassword: x',
    ].join('\n'),
    env: {
      ENTREPOT_HTTP__IDLE_TIMEOUT: '1',
      ENTREPOT_SWEEP__BATCH: 'many',
      ENTREPOT_SWEEP__GRACE_MS: '-5',
      ENTREPOT_LOG__LEVEL: 'loud',
      ENTREPOT_ADMIN_PASWORD: 'x',
      ENTREPOT_DATABASE__URL: 'mysql://hunter2@x',
      ENTREPOT_SECURITY__MASTER_KEY_FILE: '/run/gone',
      ENTREPOT_DOCKER__HOSTS: '',
    },
  });
  const expected = [
    /^http\.prot: is no known field; did you mean http\.port\?/,
    /^http\.port: must be at most 65535, not 70000/,
    /^http\.baseUrl: must be an http or https URL of scheme, host and port only/,
    /^http\.trustedProxies\.0: must be an address or a range/,
    /^htp: is no known section; did you mean http\?/,
    /^storage\.driver: must be "fs" or "s3", not "s4"/,
    /^storage\.inlineBytes: must be a number, not "16k"/,
    /^docker\.maxManifestBytes: must be at least 4194304, not 1/,
    /^docker\.hosts\.a b: must be a host name/,
    /^docker\.hosts\.ok\.example\.com: is no repository key/,
    /^docker\.ports\.99999: is no port number/,
    /^adminPassword: cannot be set in the file; use the variable ENTREPOT_ADMIN_PASSWORD/,
    /^ENTREPOT_HTTP__IDLE_TIMEOUT: is no known variable; did you mean ENTREPOT_HTTP__IDLE_TIMEOUT_MS\?/,
    /^ENTREPOT_SWEEP__BATCH: must be a number, not "many"/,
    /^sweep\.graceMs \(ENTREPOT_SWEEP__GRACE_MS\): must be at least 0, not -5/,
    /^log\.level \(ENTREPOT_LOG__LEVEL\): must be "trace" or .*, not "loud"/,
    /^ENTREPOT_ADMIN_PASWORD: is no known variable; did you mean ENTREPOT_ADMIN_PASSWORD\?/,
    /^database\.url.*: must be a PostgreSQL address, such as "[^"]+"$/,
    /^security\.masterKeyFile: names a file that cannot be read \(ENOENT\): "\/run\/gone"/,
  ];
  for (const pattern of expected)
    assert.ok(
      found.some((text) => pattern.test(text)),
      `${pattern} in\n${found.join('\n')}`,
    );
  assert.equal(found.length, expected.length, found.join('\n'));
  assert.ok(!found.some((text) => text.includes('hunter2')));
});

test('fields that belong together are checked together', () => {
  assert.match(mistakes({ yaml: 'storage: { driver: s3 }' })[0] ?? '', /^storage\.s3\.bucket: is missing/);
  assert.match(mistakes({ yaml: 'storage: { s3: { accessKeyId: a } }' })[0] ?? '', /^storage\.s3: needs both/);
  assert.match(
    mistakes({ yaml: 'docker: { ports: { 8082: libs } }' })[0] ?? '',
    /^docker\.ports\.8082: is the port of the server itself/,
  );
  assert.match(
    mistakes({ yaml: 'database: { url: "postgres://x", urlFile: y }' })[0] ?? '',
    /^database\.url: and database\.urlFile are both set/,
  );
});

test('a file that is not YAML is explained with its line', () => {
  assert.match(mistakes({ yaml: 'http:\n  port: [1\n' })[0] ?? '', /^entrepot\.yaml: is not YAML: .*\(line \d+\)/);
  assert.match(mistakes({ yaml: '- a\n' })[0] ?? '', /must hold sections/);
  assert.match(mistakes({ yaml: 'http: {}\n---\nlog: {}\n' })[0] ?? '', /several YAML documents/);
});

test("variables that are nobody's settings are left alone", () => {
  const env = {
    ENTREPOT_CRASHPOINT: 'change.written:2',
    ENTREPOT_PORT: 'tcp://10.0.0.1:8082',
    ENTREPOT_PORT_8082_TCP_ADDR: '10.0.0.1',
    ENTREPOT_SERVICE_HOST: '10.0.0.1',
    ENTREPOT_UI_SERVICE_PORT_HTTP: '80',
    PATH: '/bin',
  };
  assert.deepEqual(mistakes({ env }), []);
});
