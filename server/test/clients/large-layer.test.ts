import assert from 'node:assert/strict';
import { createCipheriv, createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { createGzip } from 'node:zlib';
import { type Client, clientSuite } from './client-suite.ts';
import { blobPath, type Descriptor, describe, mediaTypes, renderJson, writeLayoutFrame } from './oci-layout.ts';
import { deleteManifest, requireManifest } from './registry-api.ts';
import { renderTarHeader, renderTarPadding, tarEnd } from './tar.ts';
import { imageName, imagePath } from './target.ts';

/** One byte above the largest signed 32-bit number is what breaks sizes kept in too small a type. */
const contentBytes = Number(process.env['ENTREPOT_TEST_LARGE_BYTES'] ?? 2 ** 31);
const limitMs = 15 * 60_000;
const chunkBytes = 1 << 20;

/** How each client moves a layout into the registry and out again; both keep every byte. */
const transports = {
  crane: {
    login: ({ target }: Client) => [...['auth', 'login', target.registry, '-u', target.username], '--password-stdin'],
    push: (layout: string, name: string) => ['push', layout, name],
    pull: (name: string, layout: string) => ['pull', '--format=oci', name, layout],
  },
  skopeo: {
    login: ({ target }: Client) => [
      ...['login', '--tls-verify=false', target.registry, '-u', target.username],
      '--password-stdin',
    ],
    push: (layout: string, name: string) => [
      ...['copy', '--preserve-digests', '--dest-tls-verify=false', `oci:${layout}:v1`, `docker://${name}`],
    ],
    pull: (name: string, layout: string) => [
      ...['copy', '--preserve-digests', '--src-tls-verify=false', `docker://${name}`, `oci:${layout}:v1`],
    ],
  },
} as const;

for (const name of ['crane', 'skopeo'] as const) {
  clientSuite(name, (client) => {
    const transport = transports[name];

    test(`moves a layer of ${contentBytes} bytes in and out bit for bit`, { timeout: limitMs }, async (context) => {
      const { bavail, bsize } = await statfs(tmpdir());
      if (bavail * bsize < 4 * contentBytes) {
        context.skip('the temporary folder has too little room for the layer, its copy and the registry');
        return;
      }
      const source = join(client.folder, 'source');
      const pulled = join(client.folder, 'pulled');
      const layer = await writeLargeImage(source, name);
      const reference = `${imageName(`large/${name}`)}:v1`;

      await client.run(transport.login(client), { input: client.target.password });
      const pushMs = (await client.run(transport.push(source, reference), { timeoutMs: limitMs })).durationMs;
      await rm(source, { recursive: true });
      const pullMs = (await client.run(transport.pull(reference, pulled), { timeoutMs: limitMs })).durationMs;
      context.diagnostic(`${name}: push ${Math.round(pushMs)} ms, pull ${Math.round(pullMs)} ms`);

      const path = blobPath(pulled, layer.digest);
      assert.equal((await stat(path)).size, layer.size);
      const hash = createHash('sha256');
      await pipeline(createReadStream(path, { highWaterMark: chunkBytes }), hash);
      assert.equal(`sha256:${hash.digest('hex')}`, layer.digest);

      const { digest } = await requireManifest(imagePath(`large/${name}`), 'v1');
      await deleteManifest(imagePath(`large/${name}`), digest);
      await rm(pulled, { recursive: true });
    });
  });
}

/** Writes an image with one large layer: a tar archive of one file, stored in gzip without compression. */
async function writeLargeImage(folder: string, seed: string): Promise<Descriptor> {
  const platform = { os: 'linux', architecture: 'amd64' };
  const { layer, diffId } = await writeLargeLayer(folder, seed);
  const config = renderJson({ ...platform, config: {}, rootfs: { type: 'layers', diff_ids: [diffId] } });
  const manifest = renderJson({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: describe(mediaTypes.config, config),
    layers: [layer],
  });
  const root = describe(mediaTypes.manifest, manifest);
  await writeLayoutFrame(folder, root, 'v1');
  await writeFile(blobPath(folder, root.digest), manifest);
  await writeFile(blobPath(folder, describe(mediaTypes.config, config).digest), config);
  return layer;
}

async function writeLargeLayer(folder: string, seed: string): Promise<{ layer: Descriptor; diffId: string }> {
  await mkdir(join(folder, 'blobs/sha256'), { recursive: true });
  const path = join(folder, 'blobs/sha256/unnamed');
  const archive = hashing();
  const stored = hashing();
  // Compressing two gigabytes would take longer than everything the test is about.
  const gzip = createGzip({ level: 0, chunkSize: chunkBytes });
  await pipeline(Readable.from(largeArchive(seed)), archive.stream, gzip, stored.stream, createWriteStream(path));
  const digest = `sha256:${stored.hash.digest('hex')}`;
  const layer = { mediaType: mediaTypes.layer, digest, size: (await stat(path)).size };
  await rename(path, blobPath(folder, digest));
  return { layer, diffId: `sha256:${archive.hash.digest('hex')}` };
}

/** A cipher over zeros: as random to any compressor or deduplicator as real data, and the same on every run. */
async function* largeArchive(seed: string): AsyncGenerator<Buffer> {
  yield renderTarHeader('large.bin', contentBytes);
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(chunkBytes);
  for (let left = contentBytes; left > 0; left -= chunkBytes) yield cipher.update(zeros.subarray(0, left));
  yield renderTarPadding(contentBytes);
  yield tarEnd;
}

function hashing(): { stream: Transform; hash: ReturnType<typeof createHash> } {
  const hash = createHash('sha256');
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(undefined, chunk);
    },
  });
  return { stream, hash };
}
