/** Media types of manifests, and what kind of document each is. */

export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+json';
export const DOCKER_SCHEMA1_SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json';

export type ManifestKind = 'image' | 'index' | 'artifact' | 'schema1' | 'unknown';

const KINDS: Readonly<Record<string, ManifestKind>> = {
  [DOCKER_MANIFEST]: 'image',
  [OCI_MANIFEST]: 'image',
  [DOCKER_LIST]: 'index',
  [OCI_INDEX]: 'index',
  [OCI_ARTIFACT]: 'artifact',
  [DOCKER_SCHEMA1]: 'schema1',
  [DOCKER_SCHEMA1_SIGNED]: 'schema1',
};

export function kindOf(mediaType: string): ManifestKind {
  return Object.hasOwn(KINDS, mediaType) ? (KINDS[mediaType] ?? 'unknown') : 'unknown';
}

/** A media type without its parameters, lower case; undefined if the text is none. */
export function parseMediaType(text: string | undefined): string | undefined {
  const bare = text?.split(';', 1)[0]?.trim().toLowerCase();
  return bare !== undefined && bare.length <= 255 && /^[a-z0-9][\w!#$&^.+-]*\/[a-z0-9][\w!#$&^.+-]*$/.test(bare)
    ? bare
    : undefined;
}

/** Layers that are not meant to be pushed: they come from the addresses their descriptors name. */
export function isForeignLayer(mediaType: string): boolean {
  return (
    mediaType.startsWith('application/vnd.docker.image.rootfs.foreign.diff.tar') ||
    mediaType.startsWith('application/vnd.oci.image.layer.nondistributable.v1.tar')
  );
}

/**
 * Whether a client that asks by tag can take only single images: then an index is answered by its default platform.
 * Accept is advisory, so this needs a list that names image types and neither an index nor a wildcard.
 */
export function wantsOnlyImages(accept: string | undefined): boolean {
  if (accept === undefined) return false;
  let images = false;
  for (const item of accept.split(',')) {
    const [type = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
    if (parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))) continue;
    if (type.includes('*') || kindOf(type) === 'index') return false;
    if (kindOf(type) === 'image') images = true;
  }
  return images;
}
