/** What the tree and the indexes know of a manifest. */
import type { Properties, Sha256 } from '../../core/ids.ts';
import { renderDigest } from '../../core/ids.ts';
import type { PackageVersion } from '../../core/repository.ts';
import type { Manifest } from './manifest.ts';

/** Kept with each version: what listings show without reading the manifest again. */
export interface VersionMetadata {
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly subject?: string;
  readonly config?: string;
  /** Of the manifest and everything it names, as its descriptors say. */
  readonly sizeBytes: number;
}

/** Property values end up in an index entry, whose size databases limit. */
const MAX_VALUE_BYTES = 2300;
const MAX_LABELS = 200;

export function renderVersion(manifest: Manifest): VersionMetadata {
  return {
    sizeBytes: manifest.sizeBytes,
    ...(manifest.artifactType !== undefined && { artifactType: manifest.artifactType }),
    ...(manifest.annotations && { annotations: manifest.annotations }),
    ...(manifest.subject !== undefined && { subject: manifest.subject }),
    ...(manifest.config && { config: renderDigest(manifest.config) }),
  };
}

export function metadataOf(version: PackageVersion): VersionMetadata {
  return version.metadata as VersionMetadata;
}

/** Properties of the manifest's node, named as Artifactory names them; those for our own look-ups begin with `oci.`. */
export function manifestProperties(
  image: string,
  version: string,
  manifest: Manifest,
  sha256: Sha256,
  labels: Readonly<Record<string, string>>,
): Properties {
  return {
    'docker.repoName': [image],
    'docker.manifest': [version],
    'docker.manifest.digest': [`sha256:${sha256}`],
    'docker.manifest.type': [manifest.mediaType],
    sha256: [sha256],
    ...(manifest.subject !== undefined && { 'oci.subject': [manifest.subject] }),
    ...(manifest.artifactType !== undefined && { 'oci.artifact.type': [fit(manifest.artifactType)] }),
    ...(manifest.kind === 'index' && { 'oci.child': manifest.required.map(renderDigest) }),
    ...labelProperties(labels),
  };
}

function labelProperties(labels: Readonly<Record<string, string>>): Properties {
  const entries = Object.entries(labels)
    .filter(([key]) => key.length > 0 && key.length <= 200)
    .slice(0, MAX_LABELS);
  return Object.fromEntries(entries.map(([key, value]) => [`docker.label.${key}`, [fit(value)]]));
}

function fit(value: string): string {
  const clean = value.replaceAll('\u0000', '').toWellFormed();
  if (Buffer.byteLength(clean) <= MAX_VALUE_BYTES) return clean;
  // Cutting bytes may split a character, whose rest is dropped.
  return Buffer.from(clean)
    .subarray(0, MAX_VALUE_BYTES)
    .toString('utf8')
    .replace(/\ufffd+$/, '');
}
