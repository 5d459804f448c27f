import { createHash, randomUUID } from 'node:crypto';
import type { Blob, BlobSource } from './content.ts';

export const manifestType = 'application/vnd.docker.distribution.manifest.v2+json';

/** What a puller has to know of a pushed image. */
export type ImageRef = {
  readonly repository: string;
  readonly tag: string;
  readonly manifestDigest: string;
  readonly configDigest: string;
  readonly layerDigest: string;
  readonly layerBytes: number;
};

export type Image = {
  readonly ref: ImageRef;
  readonly layer: Blob;
  readonly config: Buffer;
  readonly manifest: Buffer;
};

/** Builds an image of one unique layer, a configuration of about 2 KB and a manifest. */
export function buildImage(source: BlobSource, repository: string): Image {
  const layer = source.create();
  const tag = `t-${randomUUID()}`;
  const config = buildConfig(layer.digest, tag);
  const configDigest = sha256(config);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: {
        mediaType: 'application/vnd.docker.container.image.v1+json',
        size: config.length,
        digest: configDigest,
      },
      layers: [
        {
          mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
          size: layer.sizeBytes,
          digest: layer.digest,
        },
      ],
    }),
  );
  const ref = {
    repository,
    tag,
    manifestDigest: sha256(manifest),
    configDigest,
    layerDigest: layer.digest,
    layerBytes: layer.sizeBytes,
  };
  return { ref, layer, config, manifest };
}

function buildConfig(diffId: string, tag: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      created: '2024-01-01T00:00:00Z',
      config: { Env: [`BUILD=${tag}`], Cmd: ['/bin/true'] },
      rootfs: { type: 'layers', diff_ids: [diffId] },
      history: Array.from({ length: 16 }, (_, index) => ({
        created: '2024-01-01T00:00:00Z',
        created_by: `/bin/sh -c #(nop) step ${index} of a build that left a line here`,
      })),
    }),
  );
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
