/** Python distributions, and their indexes. */
import assert from 'node:assert/strict';
import {
  indexOf,
  JSON_TYPE,
  type ListedProject,
  makeSamples,
  pathOf,
  sha256,
  upload,
} from '../../formats/pypi-samples.ts';
import type { FormatSample, Place } from './sample.ts';

/** The same bytes wherever they are published. */
const samples = makeSamples();
const PROJECTS = ['sample-one', 'sample-two'];

async function projectOf({ caller, key }: Place, project: string): Promise<ListedProject> {
  const headers = { accept: JSON_TYPE };
  const answer = await caller.request('GET', `${indexOf(key)}${project}/`, { headers });
  assert.equal(answer.status, 200, answer.text);
  return answer.json() as ListedProject;
}

/** The files of a project with their addresses, which differ from place to place. */
async function filesOf(place: Place, project: string) {
  const { files } = await projectOf(place, project);
  return files.map(({ url, ...file }) => ({ file, path: pathOf(place.key, project, url) }));
}

export const PYPI_SAMPLE: FormatSample = {
  packageType: 'pypi',
  upstreamUrl: ({ origin, key }) => `${origin}/artifactory/api/pypi/${key}`,
  async publish({ caller, key }) {
    for (const sample of await samples) {
      const answer = await upload(caller, key, sample);
      assert.equal(answer.status, 200, answer.text);
    }
  },
  reads: [
    {
      name: 'the list of projects, in both forms',
      async read({ caller, key }) {
        const json = await caller.request('GET', indexOf(key), { headers: { accept: JSON_TYPE } });
        const page = await caller.request('GET', indexOf(key));
        return [json.json(), page.text];
      },
    },
    {
      name: 'the projects as JSON',
      async read(place) {
        const read = async (project: string) => {
          const { files, ...rest } = await projectOf(place, project);
          // When something was published differs from place to place.
          return {
            ...rest,
            files: files.map(({ url: _, 'upload-time': time, ...file }) => ({ ...file, timed: time !== undefined })),
          };
        };
        return Promise.all(PROJECTS.map(read));
      },
    },
    {
      name: 'the projects as pages',
      async read({ caller, key }) {
        const read = async (project: string) => {
          const { text } = await caller.request('GET', `${indexOf(key)}${project}/`);
          return text.replace(/href="[^"#]+#/g, 'href="#');
        };
        return Promise.all(PROJECTS.map(read));
      },
    },
    {
      name: 'the files that the pages link to',
      async read(place) {
        const found: unknown[] = [];
        for (const project of PROJECTS) {
          for (const { file, path } of await filesOf(place, project)) {
            const { status, bytes, headers } = await place.caller.request('GET', path);
            assert.equal(sha256(bytes), file.hashes['sha256']);
            found.push([file.filename, status, headers['content-length'], headers['content-type']]);
          }
        }
        return found;
      },
    },
    {
      name: 'the METADATA of wheels',
      async read(place) {
        const found: unknown[] = [];
        for (const { file, path } of await filesOf(place, 'sample-one')) {
          const { status, text } = await place.caller.request('GET', `${path}.metadata`);
          found.push([file.filename, status, status === 200 ? text : '']);
        }
        return found;
      },
    },
    {
      name: 'heads and parts of files',
      async read(place) {
        const [first] = await filesOf(place, 'sample-two');
        const head = await place.caller.request('HEAD', first!.path);
        const part = await place.caller.request('GET', first!.path, { headers: { range: 'bytes=10-19' } });
        return [head.status, head.headers['content-length'], part.status, part.bytes.toString('hex')];
      },
    },
    {
      name: 'what the newest release says of itself',
      async read({ caller, key }) {
        const answer = await caller.request('GET', `/artifactory/api/pypi/${key}/pypi/sample-one/json`);
        const { info } = answer.json() as { info: Record<string, unknown> };
        const { name, version, summary, description, requires_dist: requires } = info;
        return [name, version, summary, description, requires];
      },
    },
    {
      name: 'other spellings',
      async read({ caller, key }) {
        const { status, headers } = await caller.request('GET', `${indexOf(key)}Sample__One`);
        return [status, String(headers['location']).endsWith('/simple/sample-one/')];
      },
    },
    {
      name: 'a project and a file that are not there',
      async read({ caller, key }) {
        const project = await caller.request('GET', `${indexOf(key)}nobody-has-this/`);
        const path = `/artifactory/api/pypi/${key}/packages/nobody-has-this/1.0/nobody_has_this-1.0.tar.gz`;
        return [project.status, (await caller.request('GET', path)).status];
      },
    },
  ],
};
