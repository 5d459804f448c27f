import assert from 'node:assert/strict';
import { type Descriptor, type OciImage, readLayout } from './oci-layout.ts';
import { hasBlob, requireManifest } from './registry-api.ts';

/** Checks that a layout a client pulled holds the image: the same root and every blob, byte for byte. */
export async function assertLayoutHolds(folder: string, image: OciImage): Promise<void> {
  const { roots, blobs } = await readLayout(folder);
  assert.ok(
    roots.some((root) => root.digest === image.root.digest),
    `the layout's roots are ${roots.map((root) => root.digest).join(', ')}, not ${image.root.digest}`,
  );
  const missing = [...image.blobs.keys()].filter((digest) => !blobs.has(digest));
  assert.deepEqual(missing, []);
}

/** Checks that the registry answers the tag with the image's own root, and has everything it reaches. */
export async function assertRegistryHolds(imagePath: string, tag: string, image: OciImage): Promise<void> {
  const root = await requireManifest(imagePath, tag);
  assert.equal(root.digest, image.root.digest);
  assert.equal(root.mediaType, image.root.mediaType);
  const manifests = [image.root, ...childrenOf(image)].map((descriptor) => descriptor.digest);
  for (const digest of image.blobs.keys()) {
    if (manifests.includes(digest)) assert.equal((await requireManifest(imagePath, digest)).digest, digest);
    else assert.ok(await hasBlob(imagePath, digest), `the registry lacks the blob ${digest}`);
  }
}

function childrenOf(image: OciImage): readonly Descriptor[] {
  const root = JSON.parse(String(image.blobs.get(image.root.digest))) as { manifests?: Descriptor[] };
  return root.manifests ?? [];
}
