import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { buildMultiArchImage, digestOf, writeLayout } from './oci-layout.ts';
import { getManifest, hasBlob, listReferrers, listTags } from './registry-api.ts';
import { assertLayoutHolds, assertRegistryHolds } from './round-trip.ts';
import { imageName, imagePath } from './target.ts';

interface Discovered {
  readonly referrers: readonly { readonly digest: string; readonly artifactType: string }[];
}

clientSuite('oras', (client) => {
  const { target } = client;
  const image = buildMultiArchImage('oras');
  const layout = join(client.folder, 'source');
  const files = join(client.folder, 'files');
  const artifact = imageName('oras/artifact');
  const artifactPath = imagePath('oras/artifact');

  async function requireDigest(reference: string): Promise<string> {
    return (await client.run(['resolve', '--plain-http', reference])).stdout.trim();
  }

  before(async () => {
    await writeLayout(layout, image, 'v1');
    await mkdir(files);
    await writeFile(join(files, 'notes.txt'), 'an artifact of one file\n');
    await writeFile(join(files, 'sbom.json'), '{"spdxVersion":"SPDX-2.3"}\n');
    await writeFile(join(files, 'signature.bin'), Buffer.from([0, 1, 2, 3, 255]));
  });

  const login = ['login', '--plain-http', '-u', target.username, '--password-stdin', target.registry];

  test('refuses a wrong password at login', async () => {
    const output = await client.fail(login, { input: 'not the password' });
    assert.match(output, /unauthorized|401/i);
  });

  test('logs in with the password', async () => {
    const { stdout } = await client.run(login, { input: target.password });
    assert.match(stdout, /Login Succeeded/);
  });

  test('copies a multi-architecture image with attestations in and out unchanged', async () => {
    const name = imageName('oras/multi');
    await client.run(['cp', '--from-oci-layout', '--to-plain-http', `${layout}:v1`, `${name}:v1`]);
    await assertRegistryHolds(imagePath('oras/multi'), 'v1', image);

    const pulled = join(client.folder, 'pulled');
    await client.run(['cp', '--from-plain-http', '--to-oci-layout', `${name}:v1`, `${pulled}:v1`]);
    await assertLayoutHolds(pulled, image);
  });

  test('pushes an artifact with annotations and pulls its file', async () => {
    await client.run(
      [
        ...['push', '--plain-http', '--artifact-type', 'application/vnd.entrepot.notes'],
        ...['--annotation', 'org.example.note=first light', `${artifact}:v1`, 'notes.txt:text/plain'],
      ],
      { cwd: files },
    );
    const { stdout } = await client.run(['manifest', 'fetch', '--plain-http', `${artifact}:v1`]);
    const manifest = JSON.parse(stdout) as { artifactType: string; annotations: Record<string, string> };
    assert.equal(manifest.artifactType, 'application/vnd.entrepot.notes');
    assert.equal(manifest.annotations['org.example.note'], 'first light');
    assert.equal(digestOf(stdout), await requireDigest(`${artifact}:v1`));

    const pulled = join(client.folder, 'pulled-artifact');
    await client.run(['pull', '--plain-http', '-o', pulled, `${artifact}:v1`]);
    assert.equal(await readFile(join(pulled, 'notes.txt'), 'utf8'), 'an artifact of one file\n');
  });

  test('attaches referrers and discovers them without a fallback tag', async () => {
    const attach = ['attach', '--plain-http', '--artifact-type'];
    await client.run([...attach, 'application/spdx+json', `${artifact}:v1`, 'sbom.json:application/json'], {
      cwd: files,
    });
    const signature = ['application/vnd.example.signature', '--annotation', 'signed-by=ann', `${artifact}:v1`];
    await client.run([...attach, ...signature, 'signature.bin'], { cwd: files });

    const subject = await requireDigest(`${artifact}:v1`);
    const { stdout } = await client.run(['discover', '--plain-http', '--format', 'json', `${artifact}:v1`]);
    const found = (JSON.parse(stdout) as Discovered).referrers.map((referrer) => referrer.artifactType).sort();
    assert.deepEqual(found, ['application/spdx+json', 'application/vnd.example.signature']);

    const narrowed = ['--artifact-type', 'application/spdx+json', `${artifact}:v1`];
    const filtered = await client.run(['discover', '--plain-http', '--format', 'json', ...narrowed]);
    assert.equal((JSON.parse(filtered.stdout) as Discovered).referrers.length, 1);

    const stored = await listReferrers(artifactPath, subject);
    const signed = stored.find((referrer) => referrer.artifactType === 'application/vnd.example.signature');
    assert.equal(signed?.annotations?.['signed-by'], 'ann');
    // A client that finds no referrers API keeps an index under the tag "sha256-<hex>".
    assert.deepEqual(await listTags(artifactPath), ['v1']);
  });

  test('copies an artifact with everything that refers to it', async () => {
    const to = imageName('oras/copied');
    await client.run(['cp', '-r', '--from-plain-http', '--to-plain-http', `${artifact}:v1`, `${to}:v1`]);
    const subject = await requireDigest(`${artifact}:v1`);
    assert.equal(await requireDigest(`${to}:v1`), subject);
    const before = (await listReferrers(artifactPath, subject)).map((referrer) => referrer.digest).sort();
    const after = (await listReferrers(imagePath('oras/copied'), subject)).map((referrer) => referrer.digest).sort();
    assert.equal(before.length, 2);
    assert.deepEqual(after, before);
    assert.deepEqual(await listTags(imagePath('oras/copied')), ['v1']);
  });

  test('deletes a referrer, and discovery forgets it', async () => {
    const to = imageName('oras/copied');
    const subject = await requireDigest(`${to}:v1`);
    const [first, second] = await listReferrers(imagePath('oras/copied'), subject);
    await client.run(['manifest', 'delete', '--plain-http', '--force', `${to}@${first?.digest}`]);
    const { stdout } = await client.run(['discover', '--plain-http', '--format', 'json', `${to}:v1`]);
    assert.deepEqual(
      (JSON.parse(stdout) as Discovered).referrers.map((referrer) => referrer.digest),
      [second?.digest],
    );
  });

  test('pushes, fetches and deletes a blob', async () => {
    const content = Buffer.from('a blob of its own');
    const path = join(client.folder, 'blob.bin');
    await writeFile(path, content);
    const reference = `${imageName('oras/blobs')}@${digestOf(content)}`;
    await client.run(['blob', 'push', '--plain-http', reference, path]);

    const fetched = join(client.folder, 'fetched.bin');
    await client.run(['blob', 'fetch', '--plain-http', '--output', fetched, reference]);
    assert.deepEqual(await readFile(fetched), content);
    const { stdout } = await client.run(['blob', 'fetch', '--plain-http', '--descriptor', reference]);
    assert.equal((JSON.parse(stdout) as { size: number }).size, content.length);

    await client.run(['blob', 'delete', '--plain-http', '--force', reference]);
    assert.equal(await hasBlob(imagePath('oras/blobs'), digestOf(content)), false);
  });

  test('tags, lists tags in pages and lists repositories', async () => {
    await client.run(['tag', '--plain-http', `${artifact}:v1`, 'latest', 'v1.0', 'v1.0.0']);
    const all = await client.run(['repo', 'tags', '--plain-http', artifact]);
    assert.deepEqual(all.stdout.trim().split('\n'), ['latest', 'v1', 'v1.0', 'v1.0.0']);
    const rest = await client.run(['repo', 'tags', '--plain-http', '--last', 'v1', artifact]);
    assert.deepEqual(rest.stdout.trim().split('\n'), ['v1.0', 'v1.0.0']);
    const repositories = await client.run(['repo', 'ls', '--plain-http', target.registry]);
    assert.ok(repositories.stdout.split('\n').includes(artifactPath), repositories.stdout);
  });

  test('deletes a manifest by its tag, and all tags of it', async () => {
    const digest = await requireDigest(`${artifact}:v1`);
    await client.run(['manifest', 'delete', '--plain-http', '--force', `${artifact}:v1`]);
    assert.equal(await getManifest(artifactPath, digest), undefined);
    assert.deepEqual(await listTags(artifactPath), []);
  });
});
