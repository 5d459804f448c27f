/** Python distributions made in code, how they are published, and what must be true of them wherever they are read. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { tarOf, zipOf } from '../support/archives.ts';
import type { Answer, Caller } from '../support/test-app.ts';

export interface Sample {
  readonly filename: string;
  readonly project: string;
  readonly version: string;
  readonly filetype: 'bdist_wheel' | 'sdist';
  readonly bytes: Buffer;
  /** METADATA or PKG-INFO. */
  readonly metadata: string;
}

export interface SampleOptions {
  readonly name?: string;
  readonly version?: string;
  readonly requiresPython?: string;
  readonly requires?: readonly string[];
  readonly summary?: string;
  /** The value of the module's `VALUE`. */
  readonly value?: string;
  readonly tags?: string;
  readonly extra?: Readonly<Record<string, string | Buffer>>;
}

export const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');
export const md5 = (bytes: Buffer | string) => createHash('md5').update(bytes).digest('hex');

function metadataOf({ name = 'sample-one', version = '1.0.0', ...rest }: SampleOptions): string {
  const lines = ['Metadata-Version: 2.1', `Name: ${name}`, `Version: ${version}`];
  lines.push(`Summary: ${rest.summary ?? 'A sample'}`, 'Author: Ann', 'License: MIT');
  if (rest.requiresPython !== undefined) lines.push(`Requires-Python: ${rest.requiresPython}`);
  for (const requirement of rest.requires ?? []) lines.push(`Requires-Dist: ${requirement}`);
  lines.push('Description-Content-Type: text/markdown', '', '# Sample', '', 'What it is for: ünïcode.', '');
  return lines.join('\n');
}

/** A wheel that pip installs: a module, METADATA, WHEEL and RECORD. */
export async function wheelOf(options: SampleOptions = {}): Promise<Sample> {
  const { name = 'sample-one', version = '1.0.0', tags = 'py3-none-any', value = version } = options;
  const module = name.toLowerCase().replace(/[-_.]+/g, '_');
  const info = `${module}-${version}.dist-info`;
  const metadata = metadataOf(options);
  const files: Record<string, string | Buffer> = {
    [`${module}/__init__.py`]: `VALUE = ${JSON.stringify(value)}\n`,
    ...options.extra,
    [`${info}/METADATA`]: metadata,
    [`${info}/WHEEL`]: `Wheel-Version: 1.0\nGenerator: samples\nRoot-Is-Purelib: true\nTag: ${tags}\n`,
  };
  const record = Object.entries(files).map(([path, bytes]) => {
    const hash = createHash('sha256').update(bytes).digest('base64url');
    return `${path},sha256=${hash},${Buffer.byteLength(bytes)}`;
  });
  files[`${info}/RECORD`] = `${[...record, `${info}/RECORD,,`].join('\n')}\n`;
  const bytes = await zipOf(files);
  return {
    filename: `${module}-${version}-${tags}.whl`,
    project: name,
    version,
    filetype: 'bdist_wheel',
    bytes,
    metadata,
  };
}

/** A source distribution. */
export async function sdistOf(options: SampleOptions = {}): Promise<Sample> {
  const { name = 'sample-one', version = '1.0.0' } = options;
  const module = name.toLowerCase().replace(/[-_.]+/g, '_');
  const folder = `${module}-${version}`;
  const metadata = metadataOf(options);
  const setup = `from setuptools import setup\nsetup(name=${JSON.stringify(name)}, version=${JSON.stringify(version)}, packages=[${JSON.stringify(module)}])\n`;
  const tar = await tarOf({
    [`${folder}/setup.py`]: setup,
    [`${folder}/${module}/__init__.py`]: `VALUE = ${JSON.stringify(options.value ?? version)}\n`,
    [`${folder}/PKG-INFO`]: metadata,
    ...Object.fromEntries(Object.entries(options.extra ?? {}).map(([path, bytes]) => [`${folder}/${path}`, bytes])),
  });
  const bytes = gzipSync(tar);
  return { filename: `${folder}.tar.gz`, project: name, version, filetype: 'sdist', bytes, metadata };
}

export type Part = readonly [name: string, value: string | Buffer, filename?: string];

/** A form as clients send it. */
export function formOf(parts: readonly Part[], boundary = randomBytes(12).toString('hex')) {
  const chunks: Buffer[] = [];
  for (const [name, value, filename] of parts) {
    const file = filename === undefined ? '' : `; filename="${filename}"`;
    const type = filename === undefined ? '' : '\r\nContent-Type: application/octet-stream';
    chunks.push(Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"${file}${type}\r\n\r\n`));
    chunks.push(Buffer.from(value), Buffer.from('\r\n'));
  }
  chunks.push(Buffer.from(`--${boundary}--\r\n`));
  return { headers: { 'content-type': `multipart/form-data; boundary=${boundary}` }, body: Buffer.concat(chunks) };
}

/** The fields that clients send with a distribution, the file last. */
export function fieldsOf(sample: Sample, changes: Readonly<Record<string, string | undefined>> = {}): Part[] {
  const fields: Record<string, string | undefined> = {
    ':action': 'file_upload',
    protocol_version: '1',
    name: sample.project,
    version: sample.version,
    filetype: sample.filetype,
    pyversion: sample.filetype === 'sdist' ? 'source' : 'py3',
    metadata_version: '2.1',
    summary: 'A sample',
    md5_digest: md5(sample.bytes),
    sha256_digest: sha256(sample.bytes),
    ...changes,
  };
  const parts: Part[] = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  return [...parts, ['content', sample.bytes, sample.filename]];
}

/** Uploads as twine does. */
export function upload(caller: Caller, repo: string, sample: Sample, changes = {}): Promise<Answer> {
  return caller.request('POST', `/artifactory/api/pypi/${repo}/`, formOf(fieldsOf(sample, changes)));
}

/** What `publishSamples` puts into a repository. */
export async function makeSamples(): Promise<Sample[]> {
  return [
    await wheelOf({ name: 'sample-one', version: '1.0.0', requiresPython: '>=3.7' }),
    await sdistOf({ name: 'sample-one', version: '1.0.0', requiresPython: '>=3.7' }),
    await wheelOf({ name: 'sample-one', version: '1.1.0', requiresPython: '>=3.7,<4', requires: ['Sample.Two>=2'] }),
    await wheelOf({ name: 'sample-one', version: '2.0.0rc1' }),
    await wheelOf({ name: 'Sample.Two', version: '2.0', summary: 'With <markup> & "quotes"' }),
  ];
}

/** Publishes the samples by plain HTTP; every answer must be a success. */
export async function publishSamples(caller: Caller, repo: string): Promise<Sample[]> {
  const samples = await makeSamples();
  for (const sample of samples) {
    const answer = await upload(caller, repo, sample);
    assert.equal(answer.status, 200, `${sample.filename}: ${answer.text}`);
  }
  return samples;
}

export interface SampleRead {
  readonly name: string;
  /** Reads through the repository, whichever class it has, and throws unless what must be true is true. */
  check(caller: Caller, repo: string, samples: readonly Sample[]): Promise<void>;
}

export interface ListedFile {
  readonly filename: string;
  readonly url: string;
  readonly hashes: Readonly<Record<string, string>>;
  readonly size?: number;
  readonly yanked: boolean | string;
  readonly 'requires-python'?: string;
  readonly 'upload-time'?: string;
  readonly 'core-metadata'?: boolean | { readonly sha256: string };
  readonly provenance?: string;
}

export interface ListedProject {
  readonly meta: { readonly 'api-version': string };
  readonly name: string;
  readonly versions: readonly string[];
  readonly files: readonly ListedFile[];
}

export const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';
export const indexOf = (repo: string) => `/artifactory/api/pypi/${repo}/simple/`;

/** The page of a project as JSON. */
export async function readProject(caller: Caller, repo: string, project: string): Promise<ListedProject> {
  const answer = await caller.request('GET', `${indexOf(repo)}${project}/`, { headers: { accept: JSON_TYPE } });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers['content-type'], JSON_TYPE);
  return answer.json() as ListedProject;
}

/** The path of a file that a page of a project links to. */
export function pathOf(repo: string, project: string, url: string): string {
  const resolved = new URL(url, `http://host.test${indexOf(repo)}${project}/`);
  return resolved.pathname;
}

export const SAMPLE_READS: readonly SampleRead[] = [
  {
    name: 'lists the projects as JSON and as a page',
    async check(caller, repo) {
      const json = await caller.request('GET', indexOf(repo), { headers: { accept: JSON_TYPE } });
      const names = (json.json() as { projects: { name: string }[] }).projects.map(({ name }) => name);
      assert.deepEqual(names, ['sample-one', 'sample-two']);
      const page = await caller.request('GET', indexOf(repo));
      assert.match(String(page.headers['content-type']), /^text\/html/);
      assert.match(page.text, /<a href="sample-one\/">sample-one<\/a>/);
    },
  },
  {
    name: 'lists the files of a project with digests, sizes and what they need',
    async check(caller, repo, samples) {
      const { name, versions, files } = await readProject(caller, repo, 'sample-one');
      assert.deepEqual([name, versions], ['sample-one', ['1.0.0', '1.1.0', '2.0.0rc1']]);
      const wanted = samples.filter(({ project }) => project === 'sample-one');
      assert.deepEqual(files.map(({ filename }) => filename).sort(), wanted.map(({ filename }) => filename).sort());
      for (const { filename, bytes, filetype, metadata } of wanted) {
        const file = files.find((each) => each.filename === filename)!;
        assert.equal(file.hashes['sha256'], sha256(bytes));
        assert.equal(file.size, bytes.length);
        assert.equal(file.yanked, false);
        assert.match(file['upload-time'] ?? '', /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
        const told = filetype === 'bdist_wheel' ? { sha256: sha256(metadata) } : false;
        assert.deepEqual(file['core-metadata'], told);
      }
      assert.equal(files.find(({ filename }) => filename.includes('1.1.0'))?.['requires-python'], '>=3.7,<4');
    },
  },
  {
    name: 'serves what the page links to, with the METADATA of wheels beside it',
    async check(caller, repo, samples) {
      for (const project of ['sample-one', 'sample-two']) {
        for (const { filename, url } of (await readProject(caller, repo, project)).files) {
          const sample = samples.find((each) => each.filename === filename)!;
          const path = pathOf(repo, project, url);
          const file = await caller.request('GET', path);
          assert.equal(file.status, 200, `${path}: ${file.text.slice(0, 200)}`);
          assert.deepEqual(file.bytes, sample.bytes);
          const metadata = await caller.request('GET', `${path}.metadata`);
          assert.equal(metadata.status, sample.filetype === 'sdist' ? 404 : 200);
          if (sample.filetype === 'bdist_wheel') assert.equal(metadata.text, sample.metadata);
        }
      }
    },
  },
  {
    name: 'serves parts of files, and their length',
    async check(caller, repo, samples) {
      const [file] = (await readProject(caller, repo, 'sample-two')).files;
      const { bytes } = samples.find(({ project }) => project === 'Sample.Two')!;
      const path = pathOf(repo, 'sample-two', file!.url);
      const head = await caller.request('HEAD', path);
      assert.deepEqual([head.status, head.headers['content-length']], [200, String(bytes.length)]);
      assert.equal(head.headers['accept-ranges'], 'bytes');
      const part = await caller.request('GET', path, { headers: { range: 'bytes=-20' } });
      assert.deepEqual([part.status, part.bytes], [206, bytes.subarray(-20)]);
    },
  },
  {
    name: 'redirects other spellings of a project to the one',
    async check(caller, repo) {
      for (const spelling of ['Sample.One/', 'SAMPLE_ONE', 'sample-one']) {
        const { status, headers } = await caller.request('GET', `${indexOf(repo)}${spelling}`);
        assert.deepEqual([status, headers['location']], [301, `${indexOf(repo)}sample-one/`]);
      }
    },
  },
  {
    name: 'answers again only what changed',
    async check(caller, repo) {
      const path = `${indexOf(repo)}sample-one/`;
      const { headers } = await caller.request('GET', path, { headers: { accept: JSON_TYPE } });
      const again = { accept: JSON_TYPE, 'if-none-match': String(headers['etag']) };
      assert.equal((await caller.request('GET', path, { headers: again })).status, 304);
      const page = await caller.request('GET', path, { headers: { 'if-none-match': String(headers['etag']) } });
      assert.equal(page.status, 200);
    },
  },
  {
    name: 'knows no project that nobody published',
    async check(caller, repo) {
      for (const project of ['nobody-published-this', '..%2f', 'a%20b']) {
        const { status } = await caller.request('GET', `${indexOf(repo)}${project}/`);
        assert.ok(status === 404 || status === 400, `${project}: ${status}`);
      }
    },
  },
];
