/** Packages of npm made in code, published as npm does, and what must be true of them wherever they are read. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { type Files, tarOf } from '../support/archives.ts';

export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  readonly manifest: Readonly<Record<string, unknown>>;
  readonly tarball: Buffer;
  readonly shasum: string;
  readonly integrity: string;
}

/** A package with these further fields in its package.json, and further files. */
export async function makePackage(
  name: string,
  version: string,
  options: { readonly manifest?: Readonly<Record<string, unknown>>; readonly files?: Files } = {},
): Promise<NpmPackage> {
  const manifest = { name, version, description: `The package ${name}.`, license: 'MIT', ...options.manifest };
  const files = Object.entries({
    'package.json': JSON.stringify(manifest, undefined, 2),
    'index.js': `module.exports = ${JSON.stringify(`${name}@${version}`)};\n`,
    'README.md': `# ${name}\n\nVersion ${version}.\n`,
    ...options.files,
  }).map(([path, bytes]) => ({ name: `package/${path}`, bytes }));
  return { name, version, manifest, ...sumsOf(gzipSync(await tarOf(files))) };
}

export function sumsOf(tarball: Buffer) {
  const shasum = createHash('sha1').update(tarball).digest('hex');
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
  return { tarball, shasum, integrity };
}

/** The document that npm publishes a package with. */
export function publishDocument(
  { name, version, manifest, tarball, shasum, integrity }: NpmPackage,
  options: { readonly tag?: string; readonly attachments?: Readonly<Record<string, unknown>> } = {},
): Record<string, unknown> {
  const file = `${name}-${version}.tgz`;
  return {
    _id: name,
    name,
    description: manifest['description'],
    'dist-tags': { [options.tag ?? 'latest']: version },
    versions: {
      [version]: {
        ...manifest,
        _id: `${name}@${version}`,
        _nodeVersion: '26.0.0',
        _npmVersion: '11.0.0',
        readme: `# ${name}`,
        dist: { integrity, shasum, tarball: `http://169.254.169.254/${name}/-/${file}` },
      },
    },
    access: null,
    _attachments: {
      [file]: { content_type: 'application/octet-stream', data: tarball.toString('base64'), length: tarball.length },
      ...options.attachments,
    },
  };
}

export interface NpmAnswer {
  readonly status: number;
  readonly text: string;
  readonly bytes: Buffer;
  json(): unknown;
}

export interface NpmCaller {
  request(
    method: string,
    path: string,
    options?: { readonly headers?: Readonly<Record<string, string>>; readonly body?: string | Uint8Array },
  ): Promise<NpmAnswer>;
}

/** Publishes the document; `base` is the path of the registry, such as `/artifactory/api/npm/npm-local`. */
export function publish(caller: NpmCaller, base: string, document: Record<string, unknown>) {
  return caller.request('PUT', `${base}/${String(document['name']).replace('/', '%2f')}`, {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(document),
  });
}

/** Some packages; no two calls make the same bytes, because archives say when they were made. */
export async function makeSamples(): Promise<readonly NpmPackage[]> {
  return [
    await makePackage('sample-plain', '1.0.0'),
    await makePackage('sample-plain', '1.1.0', { manifest: { dependencies: { '@sample/scoped': '^1.0.0' } } }),
    await makePackage('sample-plain', '2.0.0-beta.1'),
    await makePackage('@sample/scoped', '1.0.0', { manifest: { bin: 'index.js', scripts: { postinstall: 'true' } } }),
  ];
}

/** Publishes some packages to a registry that can be written to; returns them. */
export async function publishSamples(
  caller: NpmCaller,
  base: string,
  given?: readonly NpmPackage[],
): Promise<readonly NpmPackage[]> {
  const samples = given ?? (await makeSamples());
  for (const sample of samples) {
    const isBeta = sample.version.includes('-');
    const published = await publish(caller, base, publishDocument(sample, isBeta ? { tag: 'beta' } : {}));
    assert.equal(published.status, 201, published.text);
  }
  return samples;
}

interface Packument {
  readonly name: string;
  readonly 'dist-tags': Record<string, string>;
  readonly versions: Record<string, { name: string; dist: { tarball: string; integrity: string; shasum: string } }>;
  readonly time: Record<string, string>;
}

export interface NpmRead {
  readonly what: string;
  /** Fails where the registry at the path does not answer as it must; `origin` is the server as its clients see it. */
  check(caller: NpmCaller, base: string, origin: string): Promise<void>;
}

const SHORT = { Accept: 'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*' };

/** What must be true of the samples through every class of repository. */
export function sampleReads(samples: readonly NpmPackage[]): readonly NpmRead[] {
  const packument = async (caller: NpmCaller, path: string, headers?: Record<string, string>): Promise<Packument> => {
    const answer = await caller.request('GET', path, headers && { headers });
    assert.equal(answer.status, 200, answer.text.slice(0, 500));
    return answer.json() as Packument;
  };
  return [
    {
      what: 'full and abbreviated documents have all versions, tags and times',
      async check(caller, base) {
        for (const headers of [{ Accept: 'application/json' }, SHORT]) {
          const doc = await packument(caller, `${base}/sample-plain`, headers);
          assert.deepEqual(Object.keys(doc.versions), ['1.0.0', '1.1.0', '2.0.0-beta.1']);
          assert.deepEqual(doc['dist-tags'], { latest: '1.1.0', beta: '2.0.0-beta.1' });
          for (const version of Object.keys(doc.versions)) assert.ok(Date.parse(doc.time[version] ?? '') > 0);
        }
      },
    },
    {
      what: 'a scoped name is the same in every encoding',
      async check(caller, base) {
        const docs = await Promise.all(
          ['@sample/scoped', '@sample%2fscoped', '@sample%2Fscoped'].map((name) =>
            packument(caller, `${base}/${name}`),
          ),
        );
        for (const doc of docs) assert.deepEqual(doc, docs[0]);
        assert.equal(docs[0]?.name, '@sample/scoped');
      },
    },
    {
      what: 'tarballs lie below the registry that was asked and are what was published',
      async check(caller, base, origin) {
        for (const { name, version, tarball, integrity, shasum } of samples) {
          const doc = await packument(caller, `${base}/${name}`, SHORT);
          const dist = doc.versions[version]?.dist ?? assert.fail(`${name}@${version} is missing`);
          assert.ok(dist.tarball.startsWith(`${origin}${base}/`), dist.tarball);
          assert.equal(dist.integrity, integrity);
          assert.equal(dist.shasum, shasum);
          const got = await caller.request('GET', dist.tarball.slice(origin.length));
          assert.equal(got.status, 200);
          assert.deepEqual(got.bytes, tarball);
        }
      },
    },
    {
      what: 'a version can be asked for by its number and by a tag',
      async check(caller, base) {
        for (const [selector, version] of [
          ['1.0.0', '1.0.0'],
          ['latest', '1.1.0'],
          ['beta', '2.0.0-beta.1'],
        ] as const) {
          const answer = await caller.request('GET', `${base}/sample-plain/${selector}`);
          assert.equal((answer.json() as { version: string }).version, version);
        }
      },
    },
    {
      what: 'what is not there is 404 with a sentence',
      async check(caller, base) {
        for (const path of ['no-such-sample', 'sample-plain/9.9.9', 'sample-plain/-/sample-plain-9.9.9.tgz']) {
          const answer = await caller.request('GET', `${base}/${path}`);
          assert.equal(answer.status, 404, path);
          assert.match((answer.json() as { error: string }).error, /\w+ \w+.*\./);
        }
      },
    },
  ];
}
