/** Large pages of an upstream are read elsewhere, and say the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseProject, parseProjectList } from './upstream-pages.ts';
import { readProject, readProjectList } from './upstream-reading.ts';

const PAGE = new URL('https://upstream.example/simple/foo/');
const FILES = 2000;
const PROJECTS = 250_000;

const files = Array.from({ length: FILES }, (_, i) => ({
  filename: `foo-1.${i}.tar.gz`,
  url: `https://files.example/ab/foo-1.${i}.tar.gz`,
  hashes: { sha256: 'a'.repeat(64) },
  'requires-python': '>=3.9',
}));
const projectForms: Readonly<Record<string, string>> = {
  JSON: JSON.stringify({ meta: { 'api-version': '1.1' }, name: 'foo', versions: ['9.9'], files }),
  HTML: `<!DOCTYPE html><html><body>${files.map(({ filename, url }) => `<a href="${url}">${filename}</a>`).join('\n')}</body></html>`,
};
const names = Array.from({ length: PROJECTS }, (_, i) => `project-${i}`);
const listForms: Readonly<Record<string, string>> = {
  JSON: JSON.stringify({ meta: {}, projects: names.map((name) => ({ name, '_last-serial': 1 })) }),
  HTML: `<!DOCTYPE html><html><body>${names.map((name) => `<a href="/simple/${name}/">${name}</a>`).join('\n')}</body></html>`,
};

for (const form of ['JSON', 'HTML']) {
  test(`a large project as ${form}`, async () => {
    const bytes = Buffer.from(projectForms[form] ?? '');
    const project = await readProject(bytes, 'foo', PAGE);
    assert.equal(project.files.length, FILES);
    assert.deepEqual(project, parseProject(bytes, 'foo', PAGE));
  });

  test(`the list of very many projects as ${form}`, async () => {
    const bytes = Buffer.from(listForms[form] ?? '');
    const list = await readProjectList(bytes);
    assert.equal(list.names.length, PROJECTS);
    assert.deepEqual(list, parseProjectList(bytes));
  });

  test(`what is damaged is said to be so, as ${form}`, async () => {
    const bytes = Buffer.concat([Buffer.from(form === 'JSON' ? '{' : 'no page'), Buffer.alloc(200_000, 'x')]);
    await assert.rejects(readProjectList(bytes), { code: 'invalid' });
    await assert.rejects(readProject(bytes, 'foo', PAGE), { code: 'invalid' });
  });
}
