import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { Client } from './client-suite.ts';
import { clientSuite } from './client-suite.ts';
import { buildMultiArchImage, type OciImage } from './oci-layout.ts';
import { listReferrers, listTags, pushImage } from './registry-api.ts';
import { imageName, imagePath } from './target.ts';

const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** Which flags keep each major version off the transparency log, and in the old or the new form. */
const forms = {
  cosign2: { tags: ['--tlog-upload=false'], bundle: ['--tlog-upload=false', '--new-bundle-format'] },
  cosign3: {
    tags: ['--tlog-upload=false', '--use-signing-config=false', '--new-bundle-format=false'],
    bundle: ['--signing-config', 'signing-config.json', '--new-bundle-format'],
  },
} as const;

for (const version of ['cosign2', 'cosign3'] as const) {
  clientSuite(version, (client) => {
    const { target } = client;
    const image = buildMultiArchImage(version);
    const { digest } = image.root;
    const cosign = (...args: string[]) => client.run(args, { cwd: client.folder, env: { COSIGN_PASSWORD: 'k' } });
    const verification = ['--key', 'cosign.pub', '--insecure-ignore-tlog=true', '--trusted-root', 'trusted-root.json'];
    const subject = (name: string) => `${imageName(`${version}/${name}`)}@${digest}`;

    before(async () => await prepare(client, image, version));

    test('reports a wrong password as unauthorized', async () => {
      const credentials = ['--registry-username', target.username, '--registry-password', 'not the password'];
      const output = await client.fail(
        ['sign', '--key', 'cosign.key', '--yes', ...forms[version].tags, ...credentials, subject('tags')],
        { cwd: client.folder, env: { COSIGN_PASSWORD: 'k' } },
      );
      assert.match(output, /UNAUTHORIZED|401/);
    });

    test('signs an image under a signature tag and verifies it', async () => {
      await login(client);
      await cosign('sign', '--key', 'cosign.key', '--yes', ...forms[version].tags, subject('tags'));
      assert.deepEqual(await listTags(imagePath(`${version}/tags`)), [`${digest.replace(':', '-')}.sig`, 'v1']);
      const { stdout } = await cosign('verify', ...verification, subject('tags'));
      assert.ok(stdout.includes(digest), stdout);
    });

    test('attests under an attestation tag and verifies that', async () => {
      await writeFile(join(client.folder, 'predicate.json'), '{"reviewed":true}');
      await cosign(
        ...['attest', '--key', 'cosign.key', '--yes', ...forms[version].tags],
        ...['--predicate', 'predicate.json', '--type', 'custom', subject('tags')],
      );
      const tags = await listTags(imagePath(`${version}/tags`));
      assert.ok(tags.includes(`${digest.replace(':', '-')}.att`), tags.join(' '));
      await cosign('verify-attestation', '--type', 'custom', ...verification, subject('tags'));
    });

    test('signs an image with a bundle that refers to it and verifies that', async () => {
      const path = imagePath(`${version}/bundle`);
      await cosign('sign', '--key', 'cosign.key', '--yes', ...forms[version].bundle, subject('bundle'));
      assert.deepEqual(
        (await listReferrers(path, digest)).map((referrer) => referrer.artifactType),
        [bundleType],
      );
      assert.deepEqual(await listTags(path), ['v1']);
      const { stdout } = await cosign('verify', '--new-bundle-format', ...verification, subject('bundle'));
      assert.ok(stdout.includes(digest), stdout);
    });

    test('refuses an image that another key signed', async () => {
      await cosign('generate-key-pair', '--output-key-prefix', 'other');
      const other = verification.with(1, 'other.pub');
      const output = await client.fail(['verify', ...other, subject('tags')], { cwd: client.folder });
      assert.match(output, /no matching signatures|invalid signature|failed to verify/i);
    });

    test('copies an image with its signatures', async () => {
      const to = imageName(`${version}/copied`);
      await cosign('copy', `${imageName(`${version}/tags`)}:v1`, `${to}:v1`);
      await cosign('verify', ...verification, `${to}@${digest}`);
      assert.ok((await listTags(imagePath(`${version}/copied`))).includes(`${digest.replace(':', '-')}.sig`));
    });

    test('cleans an image of its signatures', async () => {
      await cosign('clean', '--type', 'signature', '-f', `${imageName(`${version}/copied`)}:v1`);
      const tags = await listTags(imagePath(`${version}/copied`));
      assert.ok(!tags.includes(`${digest.replace(':', '-')}.sig`), tags.join(' '));
    });
  });
}

async function prepare(client: Client, image: OciImage, version: string): Promise<void> {
  for (const name of ['tags', 'bundle']) await pushImage(imagePath(`${version}/${name}`), 'v1', image);
  const options = { cwd: client.folder, env: { COSIGN_PASSWORD: 'k' } };
  await client.run(['generate-key-pair'], options);
  // Empty files of trust and services: without them the client asks the public ones.
  await client.run(['trusted-root', 'create', '--out', 'trusted-root.json'], options);
  await client.run(['signing-config', 'create', '--out', 'signing-config.json'], options);
}

async function login(client: Client): Promise<void> {
  const { registry, username, password } = client.target;
  await client.run(['login', registry, '-u', username, '--password-stdin'], { input: password });
}
