/** Documents about whole repositories: what a remote one says of packages that are local is left out of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileAntPattern } from '../../../src/core/ant-pattern.ts';
import { type DocumentKind, documentKind, type HeldDocument } from '../../../src/core/document.ts';
import type { Format } from '../../../src/core/format.ts';
import type { RepoKey, RepoPath } from '../../../src/core/ids.ts';
import type { Guard, Member } from '../../../src/repositories/virtual/plan.ts';
import { ShadowedDocuments } from '../../../src/repositories/virtual/shadowed-documents.ts';
import { ImageClient, makeImage } from '../../support/oci.ts';
import { expectStatus, onEachStorage, sendJson } from '../api/api-world.ts';

type Paths = readonly string[];

const KIND: DocumentKind<Paths> = {
  package: () => undefined,
  path: () => '.index' as RepoPath,
  build: async () => undefined,
  merge: (docs) => docs.flat(),
  filter(doc, accepts) {
    const left = doc.filter((path) => accepts(path as RepoPath));
    return left.length === 0 ? undefined : left;
  },
  render: (doc) => ({ bytes: Buffer.from(doc.join()), mediaType: 'text/plain' }),
};
const definition = documentKind(KIND);
const packageOf = (path: RepoPath) => path.slice(0, path.lastIndexOf('/'));
const format = { packageTypes: ['some'], packageOf } as unknown as Format;
const owned = { ...format, territory: (name: string) => name.split('/')[0] ?? name } as Format;

onEachStorage('documents with names that are local', (world) => {
  test('lose these, by their names or by their owners, and follow every change of them', async () => {
    const { app } = world();
    const settings = { rclass: 'local', packageType: 'docker' };
    await expectStatus(sendJson(app.admin, 'PUT', '/artifactory/api/repositories/own', settings), 200);
    await new ImageClient(app.admin, '/v2/own/corp/app').push('1', makeImage());
    const id = app.core.repositories.idOf('own' as RepoKey) ?? -1;
    const guard = (over: Partial<Guard> = {}): Guard => ({
      virtual: 'all' as RepoKey,
      virtualId: 1,
      mode: 'enforce',
      exceptions: [],
      locals: [id],
      ...over,
    });
    const member = (...guards: Guard[]) => ({ key: 'far', guards }) as unknown as Member;
    let reads = 0;
    const held = (paths: Paths, revision: string | undefined = paths.join()): HeldDocument => ({
      revision,
      modifiedAt: new Date(0),
      partial: false,
      read: async () => {
        reads += 1;
        return paths as never;
      },
    });
    const documents = new ShadowedDocuments(app.core.database);
    const cut = async (of: Member, doc: HeldDocument, by = format) => {
      const left = await documents.cut(of, { format: by, definition, what: 'index' }, doc);
      return { revision: left?.revision, paths: await left?.read() };
    };
    const doc = held(['corp/app/99', 'corp/other/1', 'free/1']);
    const first = await cut(member(guard()), doc);
    assert.deepEqual(first.paths, ['corp/other/1', 'free/1']);
    assert.notEqual(first.revision, doc.revision);
    assert.deepEqual(await cut(member(guard()), doc), first);
    assert.equal(reads, 1);
    const excepted = guard({ virtual: 'allows' as RepoKey, exceptions: [compileAntPattern('corp/**')] });
    assert.deepEqual((await cut(member(excepted), doc)).paths, ['corp/app/99', 'corp/other/1', 'free/1']);
    assert.equal((await cut(member(guard({ mode: 'warn' })), doc)).revision, doc.revision);
    assert.equal((await cut(member(), doc)).revision, doc.revision);
    assert.deepEqual((await cut(member(guard()), held(['corp/app/99']))).paths, undefined);
    // What was made for one caller stays so.
    const own = held(['corp/app/99', 'free/1'], undefined);
    assert.deepEqual(await cut(member(guard()), { ...own, revision: undefined }), {
      revision: undefined,
      paths: ['free/1'],
    });
    const byOwner = new ShadowedDocuments(app.core.database);
    const left = await byOwner.cut(member(guard()), { format: owned, definition, what: 'index' }, doc);
    assert.deepEqual(await left?.read(), ['free/1']);
    await new ImageClient(app.admin, '/v2/own/free').push('1', makeImage());
    const later = await cut(member(guard()), doc);
    assert.deepEqual(later.paths, ['corp/other/1']);
    assert.notEqual(later.revision, first.revision);
  });
});
