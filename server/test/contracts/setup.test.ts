/** What each format tells people to write and to run, read back by the rules of the language it is written in. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { load } from 'js-yaml';
import { SaxesParser } from 'saxes';
import { loadConfig } from '../../src/config/load.ts';
import type { RepoKey } from '../../src/core/ids.ts';
import { PLACEHOLDERS, PURPOSES, type SetUpFor, type Snippet, USER } from '../../src/core/setup.ts';
import { defineFormats } from '../../src/formats/index.ts';

const config = loadConfig({}, () => {
  throw Object.assign(new Error('no file'), { code: 'ENOENT' });
});
const FORMATS = defineFormats({ docker: { ...config.docker, graceMs: 1 } });
const TYPES = ['generic', 'docker', 'oci', 'helmoci', 'maven', 'gradle', 'ivy', 'sbt', 'npm', 'pypi', 'helm'];
const COMMANDS =
  'npm pnpm yarn bun pip uv poetry pipenv twine flit helm curl wget jf docker podman skopeo oras mvn gradle sbt java ctr';

const PLAIN = { host: 'plain.example', user: 'plainuser' };
/** A shell, XML, JSON, TOML, an INI file and a properties file each take something in it for their own. */
const HOSTILE = { host: "it's.$(id>x).`id>y`.&amp;#é", user: 'o\'x "y" $(touch z) <&> \\ `id` #é;=' };

/** Every string that a language reads in a piece of it. */
const READERS: Readonly<Record<Snippet['language'], (code: string) => readonly string[]>> = {
  json: (code) => leavesOf(JSON.parse(code)),
  yaml: (code) => leavesOf(load(code)),
  xml: stringsOfXml,
  toml: (code) => [...code.matchAll(/"(?:[^"\\]|\\.)*"/g)].map(([text]) => String(JSON.parse(text))),
  scala: (code) => [...code.matchAll(/"(?:[^"\\]|\\.)*"/g)].map(([text]) => String(JSON.parse(text))),
  kotlin: (code) =>
    [...code.matchAll(/"(?:[^"\\]|\\.)*"/g)].map(([text]) => {
      assert.doesNotMatch(text, /(?<!\\)(?:\\\\)*\$/, 'nothing is expanded');
      return String(JSON.parse(text.replaceAll('\\$', '$')));
    }),
  groovy: (code) =>
    [...code.matchAll(/'((?:[^'\\]|\\.)*)'/g)].map(([, text = '']) =>
      String(JSON.parse(`"${text.replaceAll("\\'", "'").replaceAll('"', '\\"')}"`)),
    ),
  ini: (code) => code.split('\n').flatMap((line) => partsOf(line).map(unquotedIni)),
  properties: (code) => code.split('\n').flatMap((line) => partsOf(line).map(unquotedProperty)),
  text: (code) => code.split('\n'),
  shell: () => assert.fail('run by a shell'),
};

for (const type of TYPES) {
  for (const scheme of ['https', 'http']) {
    test(`${type}, reached by ${scheme}: names mean the same wherever they are written`, () => {
      const plain = stringsOf(type, readerOf(scheme, PLAIN));
      const hostile = stringsOf(type, readerOf(scheme, HOSTILE));
      assert.deepEqual(hostile, plain.map(renamed));
      assert.ok(hostile.some((text) => text.includes(HOSTILE.host)));
    });
  }

  test(`${type}: every place that is left open is explained`, () => {
    const snippets = snippetsOf(type, { origin: 'https://host', user: USER });
    const explained = new Set(Object.keys(PLACEHOLDERS));
    for (const { code, file = '' } of snippets) {
      for (const [word] of `${code} ${file}`.matchAll(/\b[A-Z]+_[A-Z]+(?:_[A-Z]+)*\b/g)) {
        if (!/^(UV|PIPENV|YARN)_/.test(word)) assert.ok(explained.has(word), `${word} in ${code}`);
      }
    }
  });
}

test('no place that is left open is a part of another', () => {
  const names = Object.keys(PLACEHOLDERS);
  for (const name of names)
    assert.deepEqual(
      names.filter((other) => other.includes(name)),
      [name],
    );
});

test('what weakens encryption is only there where the server was reached without', () => {
  const weak =
    /insecure|trusted-host|tls-verify|plain-http|unsafeHttp|AllowInsecure|verify_ssl = false|<mirrorOf>repo</i;
  const weakOf = (origin: string) =>
    TYPES.filter((type) => snippetsOf(type, { origin, user: 'ann' }).some(({ code }) => weak.test(code)));
  assert.deepEqual(weakOf('https://repo.example'), []);
  // Files by plain path, and charts with an index, are asked for by clients that take any address.
  const without = ['generic', 'helm'];
  assert.deepEqual(
    weakOf('http://repo.example'),
    TYPES.filter((type) => !without.includes(type)),
  );
});

function readerOf(scheme: string, { host, user }: typeof PLAIN): SetUpFor {
  return { origin: `${scheme}://${host}:8443`, user };
}

/** What is read where the plain names are the hostile ones. */
function renamed(text: string): string {
  return text
    .replaceAll(`${PLAIN.user}:YOUR_TOKEN@`, `${encodeURIComponent(HOSTILE.user)}:YOUR_TOKEN@`)
    .replaceAll(PLAIN.user, HOSTILE.user)
    .replaceAll(PLAIN.host, HOSTILE.host);
}

function snippetsOf(type: string, reader: SetUpFor): Snippet[] {
  const format = FORMATS.find(({ packageTypes }) => packageTypes.includes(type));
  const clients = format?.setup?.({ key: 'repo' as RepoKey, packageType: type }, reader) ?? [];
  assert.equal(new Set(clients.map(({ id }) => id)).size, clients.length);
  const snippets = clients.flatMap(({ steps }) => PURPOSES.flatMap((purpose) => steps[purpose] ?? []));
  assert.ok(snippets.length > 0);
  return snippets;
}

function stringsOf(type: string, reader: SetUpFor): readonly string[] {
  const snippets = snippetsOf(type, reader);
  const read = snippets.flatMap(({ language, code }) => (language === 'shell' ? [] : READERS[language](code)));
  const scripts = snippets.flatMap(({ language, code }) => (language === 'shell' ? [code] : []));
  return [...read, ...wordsOf(scripts)];
}

/** The words that commands get from a shell; anything else that it runs leaves a file. */
function wordsOf(scripts: readonly string[]): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-setup-'));
  try {
    const say = "printf '%s\\0' ";
    const stubs = COMMANDS.split(' ').map((name) => `${name}() { ${say}${name} "$@"; }`);
    const variables = ['UV_INDEX_REPO_USERNAME', 'UV_PUBLISH_USERNAME'].map((name) => `${say}"$${name}"`);
    const script = [...stubs, ...scripts, ...variables].join('\n');
    const output = execFileSync('sh', ['-e', '-c', script], { cwd: folder, encoding: 'utf8' });
    assert.deepEqual(readdirSync(folder), []);
    return output.split('\0');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function leavesOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [String(value)];
  return Object.entries(value).flatMap(([name, each]) => [name, ...leavesOf(each)]);
}

function stringsOfXml(code: string): string[] {
  const found: string[] = [];
  const parser = new SaxesParser();
  parser.on('text', (text) => found.push(text.trim()));
  parser.on('opentag', ({ name, attributes }) => found.push(name, ...Object.values(attributes).map(String)));
  parser.on('error', (error) => assert.fail(`${error.message} in ${code}`));
  parser.write(code).close();
  return found;
}

/** The key of a line and its value. */
function partsOf(line: string): readonly string[] {
  const at = /(?<!\\)\s*=\s*/.exec(line);
  return at ? [line.slice(0, at.index), line.slice(at.index + at[0].length)] : [line];
}

/** npm's rule where there are quotes; Python's files have none. */
function unquotedIni(text: string): string {
  return text.startsWith('"') ? String(JSON.parse(text)) : text;
}

function unquotedProperty(text: string): string {
  return text.replace(/\\(?:u([0-9a-f]{4})|(.))/g, (_, code: string | undefined, char: string) =>
    code === undefined ? char : String.fromCharCode(Number.parseInt(code, 16)),
  );
}
