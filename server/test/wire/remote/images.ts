/** Images of a scripted upstream registry. */
import { createHash, randomBytes } from 'node:crypto';
import type { HostileUpstream } from '../../support/hostile-upstream.ts';

export const sha256 = (bytes: Buffer | string) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
export const TYPE = 'application/vnd.oci.image.manifest.v1+json';

/** An image at the upstream, under a tag. */
export function publish(upstream: HostileUpstream, name: string, tag: string, layer = randomBytes(100_000)) {
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', made: Math.random() }));
  const part = (bytes: Buffer, mediaType: string) => ({ mediaType, digest: sha256(bytes), size: bytes.length });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: TYPE,
      config: part(config, 'application/vnd.oci.image.config.v1+json'),
      layers: [part(layer, 'application/vnd.oci.image.layer.v1.tar')],
    }),
  );
  const digest = sha256(manifest);
  const headers = { 'Content-Type': TYPE, 'Docker-Content-Digest': digest };
  for (const reference of [tag, digest]) upstream.serve(`/v2/${name}/manifests/${reference}`, manifest, headers);
  for (const bytes of [config, layer]) upstream.serve(`/v2/${name}/blobs/${sha256(bytes)}`, bytes);
  return { manifest, digest, config, layer };
}
