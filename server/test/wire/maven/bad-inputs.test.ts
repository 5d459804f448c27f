/** What no honest client sends to a Maven repository (bad-inputs M01 to M22). */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { elements, hash, makePom } from '../../formats/maven-samples.ts';
import { tarOf, zipListing, zipNamed, zipOf, zipWithLink } from '../../support/archives.ts';
import { type Answer, STORAGES } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

const AT = { group: 'org', artifact: 'bad', version: '1' };
const POM = '/artifactory/libs/org/bad/1/bad-1.pom';

for (const storage of STORAGES) {
  describe(`bad input of Maven on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage, {
        prepare: async (core) => {
          await core.administration.create({ key: 'libs', rclass: 'local', packageType: 'maven' }, '_system_');
        },
      });
    });
    after(() => world.stop());

    const put = (path: string, body: string | Uint8Array, headers: Record<string, string> = {}) =>
      world.admin.request('PUT', path, { body, headers });
    const get = (path: string) => world.admin.request('GET', path);
    const refused = async (body: string | Uint8Array, said: RegExp): Promise<Answer> => {
      const answer = await put(POM, body);
      assert.equal(answer.status, 409, answer.text.slice(0, 300));
      assert.match(answer.text, said);
      assert.match(answer.text, /Put a correct POM/);
      assert.equal((await get(POM)).status, 404, 'nothing is kept');
      return answer;
    };
    /** What is said of a file that is not read. */
    const unindexed = async (path: string) => {
      const { text } = await get(`/artifactory/api/storage/libs/${path}?properties`);
      const { properties } = JSON.parse(text) as { properties?: Record<string, string[]> };
      return properties?.['entrepot.unindexed']?.[0] ?? '';
    };
    const declared = (text: string) => makePom(AT).replace('<?xml version="1.0" encoding="UTF-8"?>', text);

    test('M01: POMs with document types are refused, and nothing they name is read', async () => {
      for (const type of [
        '<!DOCTYPE project [<!ENTITY canary SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE project SYSTEM "http://127.0.0.1:1/canary.dtd">',
        '<!DOCTYPE project [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
      ]) {
        const answer = await refused(declared(`<?xml version="1.0"?>${type}`), /document type/);
        assert.ok(!answer.text.includes('root:'));
      }
      await refused(makePom({ ...AT, more: '&canary;' }), /not well-formed/);
      const include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>';
      const path = '/artifactory/libs/org/inc/1/inc-1.pom';
      assert.equal((await put(path, makePom({ ...AT, artifact: 'inc', more: include }))).status, 201);
      assert.ok(!(await get(path)).text.includes('root:'));
    });

    test('M02: POMs made to exhaust are refused soon', async () => {
      const bombs: readonly (readonly [string, RegExp])[] = [
        ['<!DOCTYPE lolz [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><project>&b;</project>', /document type/],
        [`<project ${Array.from({ length: 100_000 }, (_, i) => `a${i}=""`).join(' ')}/>`, /more than 500 attributes/],
        [`${'<project>'.repeat(10_000)}${'</project>'.repeat(10_000)}`, /nested more than/],
        [`<project>${'<a/>'.repeat(200_000)}</project>`, /more than \d+ elements/],
        [`<project>${' '.repeat(5 * 1024 * 1024)}</project>`, /larger than/],
      ];
      for (const [body, said] of bombs) await refused(body, said);
    });

    test('M04: versions that cannot be are refused, properties are not compared', async () => {
      for (const version of ['[1,2)', '../x', ' ', 'x'.repeat(500)]) {
        const answer = await put(POM, makePom({ ...AT, version }));
        assert.equal(answer.status, 409, answer.text);
      }
    });

    test('M05: POMs in encodings that lie are refused', async () => {
      await refused(declared('<?xml version="1.0" encoding="UTF-7"?>'), /encoding/);
      await refused(Buffer.from(makePom(AT), 'utf16le'), /not well-formed|encoding/);
      await refused(declared('<?xml version="1.0" encoding="UTF-16"?>'), /encoding/);
      const latin = declared('<?xml version="1.0" encoding="UTF-8"?>').replace(
        '</project>',
        '<name>é</name></project>',
      );
      await refused(Buffer.from(latin, 'latin1'), /not in the encoding/);
      await refused('', /empty|not well-formed/);
      await refused('{"json": true}', /not well-formed/);
      await refused('<html><body/></html>', /top element is/);
      const right = declared('<?xml version="1.0" encoding="ISO-8859-1"?>').replace('>bad<', '>latin<');
      const path = '/artifactory/libs/org/latin/1/latin-1.pom';
      assert.equal(
        (await put(path, Buffer.from(right.replace('</project>', '<name>é</name></project>'), 'latin1'))).status,
        201,
      );
    });

    test('M06: scripts in POMs do not run', async () => {
      const more = '<x:script xmlns:x="http://www.w3.org/1999/xhtml">alert(1)</x:script>';
      const path = '/artifactory/libs/org/script/1/script-1.pom';
      assert.equal((await put(path, makePom({ ...AT, artifact: 'script', more }))).status, 201);
      const { headers } = await get(path);
      assert.match(String(headers['content-disposition']), /attachment/);
      assert.match(String(headers['content-security-policy']), /sandbox/);
      assert.equal(headers['x-content-type-options'], 'nosniff');
    });

    test('M07, M08: checksums in headers are true or refused', async () => {
      const path = '/artifactory/libs/org/head/1/head-1.jar';
      assert.equal((await put(path, 'x', { 'X-Checksum-Sha1': hash('sha1', 'y') })).status, 409);
      for (const value of ['zz', 'a'.repeat(41), 'a'.repeat(10_000)]) {
        const { status } = await put(path, 'x', { 'X-Checksum': value });
        assert.ok([400, 409, 431].includes(status), String(status));
      }
      assert.equal((await get(path)).status, 404);
    });

    test('M09, M10: checksum files are checksums of files that are there', async () => {
      const path = '/artifactory/libs/org/side/1/side-1.jar';
      assert.equal((await put(path, 'x')).status, 201);
      assert.equal((await put(`${path}.sha1`, hash('sha1', 'y'))).status, 409);
      assert.equal((await put(`${path}.none.sha1`, hash('sha1', 'x'))).status, 404);
      for (const body of ['<html>sign in</html>', '', 'x'.repeat(1024 * 1024)]) {
        const { status } = await put(`${path}.sha512`, body);
        assert.ok([400, 409, 413].includes(status), String(status));
      }
      for (const double of ['sha1.sha1', 'md5.sha512', 'md5.asc.md5']) {
        assert.equal((await put(`${path}.${double}`, hash('sha1', 'x'))).status, 404);
        assert.equal((await get(`${path}.${double}`)).status, 404);
      }
    });

    test('M13: metadata that clients put is not even looked at', async () => {
      const path = '/artifactory/libs/org/meta/maven-metadata.xml';
      for (const body of ['<script/>', 'x'.repeat(8 * 1024 * 1024), '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', '']) {
        assert.equal((await put(path, body)).status, 201);
        assert.equal((await get(path)).status, 404);
      }
    });

    test('M15: jars that are no honest archives are kept', async () => {
      const path = (name: string) => `/artifactory/libs/org/${name}-plugin/1/${name}-plugin-1.jar`;
      const jars = {
        slip: await zipNamed('../../META-INF/maven/plugin.xml', '<plugin><goalPrefix>x</goalPrefix></plugin>'),
        link: await zipWithLink('META-INF/maven/plugin.xml', '/etc/passwd'),
        bomb: await zipOf({ 'META-INF/maven/plugin.xml': `<plugin>${' '.repeat(30 * 1024 * 1024)}</plugin>` }),
        entity: await zipOf({ 'META-INF/maven/plugin.xml': '<!DOCTYPE a [<!ENTITY b "c">]><plugin>&b;</plugin>' }),
        prefix: await zipOf({ 'META-INF/maven/plugin.xml': '<plugin><goalPrefix>a b/../c</goalPrefix></plugin>' }),
        none: Buffer.from('no zip at all'),
        tar: await tarOf({ a: 'b' }),
      };
      for (const [name, bytes] of Object.entries(jars)) {
        assert.equal((await put(path(name), bytes)).status, 201, name);
        assert.deepEqual((await get(path(name))).bytes, bytes, name);
      }
      assert.deepEqual(elements((await get('/artifactory/libs/org/maven-metadata.xml')).text, 'prefix'), []);
      for (const [name, said] of Object.entries({
        bomb: /larger than/,
        entity: /document type/,
        none: /no zip file/,
      })) {
        assert.match(await unindexed(`org/${name}-plugin/1/${name}-plugin-1.jar`), said, name);
      }
    });

    test('M16: a jar of very many entries is kept, and says that it was not read to its end', async () => {
      const jar = await zipListing(60_000);
      const path = 'org/many-plugin/1/many-plugin-1.jar';
      assert.equal((await put(`/artifactory/libs/${path}`, jar)).status, 201);
      assert.match(await unindexed(path), /The jar was not looked into.*more than 20000 entries/);
      assert.deepEqual((await get(`/artifactory/libs/${path}`)).bytes, jar);
    });

    test('M17, M18: tokens and parameters that mean nothing find nothing', async () => {
      for (const path of ['org/bad/[../RELEASE]/x', 'org/bad/[RELEASE/x', 'org/[RELEASE]/[RELEASE]/../x']) {
        const { status } = await get(`/artifactory/libs/${path}`);
        assert.ok([400, 404].includes(status), `${path}: ${status}`);
      }
      assert.equal((await put('/artifactory/libs/org/magic/1/magic-1.jar', 'x')).status, 201);
      assert.equal((await get('/artifactory/libs/org/magic/1/magic-1.jar?isRemote=true&trace')).status, 200);
    });

    test('what clients show of a refusal says what is wrong', async () => {
      const response = await fetch(`${world.app.url}${POM}`, {
        method: 'PUT',
        body: makePom({ ...AT, version: '2' }),
        headers: { authorization: world.admin.authorization ?? '' },
      });
      assert.equal(response.status, 409);
      assert.match(response.statusText, /does not fit its path: its version is "2"/);
      const agent = { 'User-Agent': 'Apache-Maven/4.0.0 (Java 17; Linux)' };
      const told = await put(POM, makePom({ ...AT, version: '2' }), agent);
      assert.equal(told.headers['content-type'], 'application/problem+json');
      const { status, detail, errors } = JSON.parse(told.text) as Record<string, unknown>;
      assert.equal(status, 409);
      assert.match(String(detail), /its version is "2"/);
      assert.deepEqual(errors, [{ status: 409, message: detail }]);
      // What is missing would be taken for a failure by this client, and older ones read the reason phrase.
      const missing = await world.admin.request('GET', '/artifactory/libs/none/1/none-1.jar', { headers: agent });
      assert.match(String(missing.headers['content-type']), /^application\/json/);
      const older = await put(POM, makePom({ ...AT, version: '2' }), { 'User-Agent': 'Apache-Maven/3.9.16 (Java 17)' });
      assert.match(String(older.headers['content-type']), /^application\/json/);
      const path = `/artifactory/libs/org/bad/1/${encodeURIComponent('ü\n')}.jar`;
      const odd = await fetch(`${world.app.url}${path}`, {
        headers: { authorization: world.admin.authorization ?? '' },
      });
      assert.ok([400, 404].includes(odd.status));
      assert.match(odd.statusText, /^[\x20-\x7e]+$/);
    });

    test('names at the edges of what a path can hold are no trouble', async () => {
      for (const path of [
        'maven-metadata.xml',
        'a/maven-metadata.xml',
        'SNAPSHOT/maven-metadata.xml',
        '-SNAPSHOT/maven-metadata.xml',
        'a/-SNAPSHOT/maven-metadata.xml',
        'a:b/c:d/1/c:d-1.jar',
        'a/b/1/b-1.',
        'a/b/1/b-1-.jar',
        'a/b/1-SNAPSHOT/b-1-20260102.030405-99999999999999999999.jar',
        'a/b/-SNAPSHOT/b--SNAPSHOT.jar',
        `a/${'b'.repeat(200)}/1/${'b'.repeat(200)}-1.jar`,
        `${'a/'.repeat(100)}b/1/b-1.jar`,
        'a/b/%F0%9F%92%A5/b-%F0%9F%92%A5.jar',
      ]) {
        const answer = await put(`/artifactory/libs/edge/${path}`, 'edge');
        assert.ok(answer.status < 500, `${path}: ${answer.status} ${answer.text}`);
        for (const read of [path, path.replace(/\/[^/]*$/, '/maven-metadata.xml'), `${path}.sha512`]) {
          const { status, text } = await get(`/artifactory/libs/edge/${read}`);
          assert.ok(status < 500, `${read}: ${status} ${text}`);
        }
      }
    });
  });
}
