/** Reads a manifest: what kind it is, what it refers to, and what the tree and the indexes need to know of it. */
import { createHash } from 'node:crypto';
import type { AppError } from '../../core/errors.ts';
import { clip, type Digest, parseDigest, renderDigest } from '../../core/ids.ts';
import { parseJson } from '../../lib/json.ts';
import { ociError } from './errors.ts';
import { isForeignLayer, kindOf, type ManifestKind, OCI_INDEX, OCI_MANIFEST, parseMediaType } from './media-types.ts';

export interface Manifest {
  readonly mediaType: string;
  readonly kind: ManifestKind;
  /** Blobs and manifests that must be in the repository. */
  readonly required: readonly Digest[];
  /** Those of them that lie beside the manifest in the tree: its config and layers. */
  readonly layers: readonly Part[];
  readonly config: Digest | undefined;
  readonly subject: string | undefined;
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
  /** For an index: the entry that a client gets which can only take one image. */
  readonly defaultChild: string | undefined;
  readonly sizeBytes: number;
}

/** A blob as its manifest describes it. */
export interface Part {
  readonly digest: Digest;
  readonly size: number;
}

export interface ManifestRules {
  readonly acceptUnknown: boolean;
}

const MAX_DEPTH = 64;
const MAX_ANNOTATION_BYTES = 1024 * 1024;
/** The conformance suite pushes 390 annotations of 10 kB: the sum may be large where the document may. */
const MAX_DESCRIPTORS = 50_000;
/** Bytes embedded in a descriptor, in base64. */
const MAX_DATA = 1024 * 1024;

type Json = Readonly<Record<string, unknown>>;

/** Takes the bytes as pushed and what the client called them; `MANIFEST_INVALID` says what is wrong with them. */
export function parseManifest(bytes: Buffer, contentType: string | undefined, rules: ManifestRules): Manifest {
  const document = parseDocument(bytes);
  const mediaType = typeOf(document, contentType);
  const kind = kindOf(mediaType);
  if (kind === 'schema1') {
    throw invalid('Manifests of schema version 1 are not accepted here. Push the image with a current client.');
  }
  if (kind === 'unknown' && !rules.acceptUnknown) {
    throw invalid(`Manifests of the type "${clip(mediaType)}" are not accepted here.`);
  }
  requireShape(document, kind);
  const config = document['config'] === undefined ? undefined : descriptor(document['config'], 'config');
  const layers = descriptors(document['layers'], 'layers');
  const blobs = descriptors(document['blobs'], 'blobs');
  const manifests = descriptors(document['manifests'], 'manifests');
  if (layers.length + blobs.length + manifests.length > MAX_DESCRIPTORS) {
    throw invalid(`The manifest names more than ${MAX_DESCRIPTORS} things.`);
  }
  const beside = [...(config ? [config] : []), ...layers, ...blobs].filter((entry) => !entry.foreign);
  const subject = document['subject'] === undefined ? undefined : descriptor(document['subject'], 'subject');
  const all = [...(config ? [config] : []), ...layers, ...blobs, ...manifests];
  return {
    mediaType,
    kind,
    required: unique([...beside, ...manifests]).map(({ digest }) => digest),
    layers: unique(beside),
    config: config?.digest,
    subject: subject && renderDigest(subject.digest),
    artifactType: artifactTypeOf(document, kind, config),
    annotations: annotationsOf(document),
    defaultChild: defaultChild(document['manifests']),
    sizeBytes: all.reduce((sum, entry) => sum + entry.size, bytes.length),
  };
}

function invalid(message: string): AppError {
  return ociError('MANIFEST_INVALID', message);
}

function parseDocument(bytes: Buffer): Json {
  const result = parseJson(bytes, {
    maxDepth: MAX_DEPTH,
    singleKeys: ['layers', 'config', 'manifests', 'digest', 'mediaType', 'blobs', 'subject'],
  });
  if ('problem' in result) throw invalid(`The manifest is not valid: ${result.problem}.`);
  const { value } = result;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('The manifest is not a JSON object.');
  }
  return value as Json;
}

/** The header and the document must agree; where the header says nothing, the document's shape does. */
function typeOf(document: Json, contentType: string | undefined): string {
  const own = document['mediaType'];
  if (own !== undefined && (typeof own !== 'string' || parseMediaType(own) === undefined)) {
    throw invalid('The manifest\'s "mediaType" is not a media type.');
  }
  const named = parseMediaType(contentType);
  const vague =
    named === undefined || /^(application\/(json|octet-stream|x-www-form-urlencoded)|text\/.*)$/.test(named);
  if (!vague) {
    if (own !== undefined && parseMediaType(own) !== named) {
      throw invalid(
        `The manifest says it is "${clip(String(own))}", but the Content-Type is "${clip(named)}". They must be equal.`,
      );
    }
    return named;
  }
  if (typeof own === 'string') return parseMediaType(own) ?? own;
  if (document['schemaVersion'] === 1) throw invalid('Manifests of schema version 1 are not accepted here.');
  if (Array.isArray(document['manifests'])) return OCI_INDEX;
  if (document['config'] !== undefined || Array.isArray(document['layers'])) return OCI_MANIFEST;
  throw invalid('The request has no usable Content-Type, and the document does not tell what kind of manifest it is.');
}

function requireShape(document: Json, kind: ManifestKind): void {
  const isImageLike = document['layers'] !== undefined || document['config'] !== undefined;
  // A document that reads as one kind to one client and as another to the next is an attack (CVE-2021-41190).
  if (isImageLike && document['manifests'] !== undefined) {
    throw invalid(
      'The manifest has both "manifests" and "layers" or "config": it must be either an index or an image.',
    );
  }
  if (kind === 'image' || kind === 'index') {
    if (document['schemaVersion'] !== 2) throw invalid('The manifest\'s "schemaVersion" is not 2.');
  }
  if (kind === 'image') {
    if (document['manifests'] !== undefined) throw invalid('An image manifest cannot have "manifests".');
    if (document['config'] === undefined) throw invalid('The image manifest has no "config".');
    if (!Array.isArray(document['layers'])) throw invalid('The image manifest has no list of "layers".');
  }
  if (kind === 'index') {
    if (isImageLike) throw invalid('An index cannot have "layers" or "config".');
    if (!Array.isArray(document['manifests'])) throw invalid('The index has no list of "manifests".');
  }
}

interface Descriptor {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  readonly foreign: boolean;
}

function descriptors(value: unknown, where: string): Descriptor[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(`The manifest's "${where}" is not a list.`);
  return value.map((entry, i) => descriptor(entry, `${where}[${i}]`));
}

function descriptor(value: unknown, where: string): Descriptor {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`The manifest's "${where}" is not a descriptor.`);
  }
  const { digest: digestText, mediaType, size, urls, data } = value as Json;
  const digest = typeof digestText === 'string' ? parseDigest(digestText) : undefined;
  if (!digest) throw invalid(`The digest of the manifest's "${where}" is not valid.`);
  if (typeof mediaType !== 'string' || parseMediaType(mediaType) === undefined) {
    throw invalid(`The media type of the manifest's "${where}" is not valid.`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(`The size of the manifest's "${where}" is not a whole number of bytes.`);
  }
  checkUrls(urls, where);
  if (data !== undefined) checkData(data, digest, size, where);
  return { digest, mediaType, size, foreign: isForeignLayer(mediaType) };
}

/** They are passed on to clients and never fetched by the server. */
function checkUrls(urls: unknown, where: string): void {
  if (urls === undefined || urls === null) return;
  const fine =
    Array.isArray(urls) &&
    urls.every((url) => typeof url === 'string' && /^https?:\/\/[^\s#]+$/i.test(url) && URL.canParse(url));
  if (!fine) throw invalid(`The "urls" of the manifest's "${where}" are not all http or https addresses.`);
}

function checkData(data: unknown, digest: Digest, size: number, where: string): void {
  if (typeof data === 'string' && data.length > MAX_DATA) {
    throw invalid(`The embedded "data" of the manifest's "${where}" is larger than 1 MiB. Push it as a blob.`);
  }
  const bytes = typeof data === 'string' ? Buffer.from(data, 'base64') : undefined;
  if (!bytes || bytes.length !== size || digestOf(bytes, digest.algorithm) !== digest.hex) {
    throw invalid(`The embedded "data" of the manifest's "${where}" does not match its digest and size.`);
  }
}

function unique(entries: readonly Descriptor[]): Part[] {
  return [...new Map(entries.map(({ digest, size }) => [renderDigest(digest), { digest, size }])).values()];
}

/** What a referrer is listed as: its own type, or for an image its config's (distribution-spec, "Listing Referrers"). */
function artifactTypeOf(document: Json, kind: ManifestKind, config: Descriptor | undefined): string | undefined {
  const own = document['artifactType'];
  if (own !== undefined && typeof own !== 'string') throw invalid('The manifest\'s "artifactType" is not a text.');
  if (own) return own;
  return kind === 'index' ? undefined : config?.mediaType;
}

function annotationsOf(document: Json): Readonly<Record<string, string>> | undefined {
  const annotations = document['annotations'];
  if (annotations === undefined || annotations === null) return undefined;
  if (typeof annotations !== 'object' || Array.isArray(annotations)) {
    throw invalid('The manifest\'s "annotations" are not an object.');
  }
  for (const [key, value] of Object.entries(annotations)) {
    if (typeof value !== 'string') throw invalid(`The annotation "${clip(key)}" is not a text.`);
    if (value.length > MAX_ANNOTATION_BYTES) throw invalid(`The annotation "${clip(key)}" is larger than 1 MiB.`);
  }
  return annotations as Record<string, string>;
}

/** linux/amd64, as registries have always answered clients that know no lists; never an attestation. */
function defaultChild(manifests: unknown): string | undefined {
  if (!Array.isArray(manifests)) return undefined;
  const child = (manifests as Json[]).find((entry) => {
    const platform = entry['platform'] as Json | undefined;
    return platform?.['os'] === 'linux' && platform['architecture'] === 'amd64' && typeof entry['digest'] === 'string';
  });
  return child?.['digest'] as string | undefined;
}

/** The digest of bytes in an algorithm, in lower-case hex. */
export function digestOf(bytes: Buffer, algorithm: Digest['algorithm']): string {
  return createHash(algorithm).update(bytes).digest('hex');
}
