/** What upstream registries are asked for, and what becomes of their answers (distribution-spec, "Pull"). */
import type { IncomingHttpHeaders } from 'node:http';
import { type Digest, joinPath, parseDigest, type RepoPath, renderDigest, type Sha256 } from '../../core/ids.ts';
import type { Admission, Arrived, Fetch, RemoteFacts, RemoteRules } from '../../core/remote.ts';
import { type Ask, UpstreamFailure } from '../../core/upstream.ts';
import { digestOf, type Manifest, parseManifest } from './manifest.ts';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  kindOf,
  OCI_ARTIFACT,
  OCI_INDEX,
  OCI_MANIFEST,
  parseMediaType,
} from './media-types.ts';
import { digestFolder, isName, isTag, MANIFEST, tagFolder, UPLOADS } from './names.ts';
import { BLOB_TYPE, placeCached } from './placement.ts';
import { TagLeases } from './tag-leases.ts';
import { catalogListing, referrersListing, tagsListing } from './upstream-listings.ts';
import { askOf, canonicalName, registryAddress, UNKNOWN } from './upstream-names.ts';

export interface RemoteDockerSettings {
  readonly maxManifestBytes: number;
  /** Lists of images are made of what the cache holds, without asking. */
  readonly catalogFromCache: boolean;
}

/** All that there are, and whatever else was pushed: what an upstream converts is not what was signed. */
const ACCEPT = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, OCI_ARTIFACT, '*/*'].join(', ');

/** Many times what images have; each is a row. */
const MAX_LAYERS = 5000;

/** Signatures are pushed after what they sign, under tags that are asked for at once. */
const SIGNATURE_TAG = /^sha(256|512)-[0-9a-f]+/;
const SIGNATURE_MISS_SECONDS = 60;

export function defineRemote(settings: RemoteDockerSettings): RemoteRules {
  const leases = new TagLeases();
  return {
    address: registryAddress,
    canonical: canonicalName,
    fetch(wanted, remote) {
      if (!('package' in wanted)) return undefined;
      const name = canonicalName(wanted.package, remote);
      if (!isName(name)) return undefined;
      const from: Source = { remote, name, leases, maxBytes: settings.maxManifestBytes };
      if ('version' in wanted) return isTag(wanted.version) ? tagFetch(from, wanted.version) : undefined;
      return wanted.lead ? manifestFetch(from, wanted.digest) : blobFetch(from, wanted.digest);
    },
    versionNames: (name, remote) => tagsListing(canonicalName(name, remote), remote),
    versionsWith: (name, property, remote) => referrersListing(canonicalName(name, remote), property, remote),
    packages: (remote) => (settings.catalogFromCache ? undefined : catalogListing(remote)),
  };
}

interface Source {
  readonly remote: RemoteFacts;
  readonly name: string;
  readonly leases: TagLeases;
  readonly maxBytes: number;
}

function manifestAsk({ remote, name }: Source, reference: string): Ask {
  return { ...askOf(remote, name, `manifests/${reference}`), headers: { Accept: ACCEPT } };
}

function tagFetch(from: Source, tag: string): Fetch {
  const { remote, name, leases } = from;
  return {
    key: `tag:${name}:${tag}`,
    path: joinPath(tagFolder(name, tag), MANIFEST),
    package: name,
    ask: manifestAsk(from, tag),
    mutable: true,
    whole: { maxBytes: from.maxBytes },
    identify(headers) {
      const identity = identify(headers);
      if (identity.digest) leases.note({ repo: remote.key, name, tag }, renderDigest(identity.digest));
      return identity;
    },
    pinned: (digest) => manifestAsk(from, renderDigest(digest)),
    missing: UNKNOWN,
    ...(SIGNATURE_TAG.test(tag) && { missSeconds: SIGNATURE_MISS_SECONDS }),
    admit: (arrived) => admitManifest(from, arrived, { tags: [tag], named: undefined }),
  };
}

function manifestFetch(from: Source, digest: Digest): Fetch {
  const { remote, name, leases } = from;
  return {
    key: `manifest:${name}@${renderDigest(digest)}`,
    path: joinPath(digestFolder(name, digest.hex as Sha256), MANIFEST),
    package: name,
    ask: manifestAsk(from, renderDigest(digest)),
    mutable: false,
    digest,
    whole: { maxBytes: from.maxBytes },
    identify,
    missing: UNKNOWN,
    // What has a digest may be pushed at any moment, and is asked for by who saw its digest somewhere.
    missSeconds: 0,
    admit: (arrived) =>
      admitManifest(from, arrived, {
        // A client that asks first where a tag points, and then for that, has pulled the tag.
        tags: leases.tagsOf({ repo: remote.key, name }, renderDigest(digest)),
        named: digest,
      }),
  };
}

function blobFetch({ remote, name }: Source, digest: Digest): Fetch {
  return {
    key: `blob:${name}@${renderDigest(digest)}`,
    path: waitingPlace(name, digest),
    package: name,
    ask: askOf(remote, name, `blobs/${renderDigest(digest)}`),
    mutable: false,
    digest,
    mediaType: BLOB_TYPE,
    missing: UNKNOWN,
    missSeconds: 0,
  };
}

/** Where blobs lie that no manifest of the cache names: as one that waits for its manifest. */
function waitingPlace(name: string, { algorithm, hex }: Digest): RepoPath {
  return joinPath(name, UPLOADS, `${algorithm}__${hex}`);
}

/** What registries say of a manifest beside its bytes; a type that says nothing is read from them later. */
function identify(headers: IncomingHttpHeaders): { digest?: Digest; mediaType?: string } {
  const digest = parseDigest(String(headers['docker-content-digest'] ?? ''));
  const mediaType = parseMediaType(headers['content-type']);
  return {
    ...(digest && { digest }),
    ...(mediaType !== undefined && kindOf(mediaType) !== 'unknown' && { mediaType }),
  };
}

async function admitManifest(
  { name, maxBytes }: Source,
  { landed, bytes, mediaType, headers }: Arrived,
  as: { readonly tags: readonly string[]; readonly named: Digest | undefined },
): Promise<Admission> {
  if (!bytes || bytes.length > maxBytes) throw broken(`A manifest is larger than ${maxBytes} bytes.`);
  const told = parseDigest(String(headers['docker-content-digest'] ?? ''));
  if (told && digestOf(bytes, told.algorithm) !== told.hex) {
    throw broken(`A manifest does not have the digest "${renderDigest(told)}" that came with it.`);
  }
  const manifest = readUpstreamManifest(bytes, mediaType);
  if (manifest.layers.length > MAX_LAYERS) throw broken(`A manifest names more than ${MAX_LAYERS} blobs.`);
  return (tree) => placeCached(tree, { name, manifest, content: landed, labels: {}, ...as });
}

/** The manifest with the type it says it has, where the header says something else; it is never changed. */
export function readUpstreamManifest(bytes: Buffer, contentType: string): Manifest {
  try {
    return parseManifest(bytes, ownTypeOf(bytes) ?? contentType, { acceptUnknown: true });
  } catch (error) {
    throw broken(`What came is no manifest that is served here: ${(error as Error).message}`, error);
  }
}

/** Its digest vouches for what a document says of itself, and nothing for its header. */
function ownTypeOf(bytes: Buffer): string | undefined {
  try {
    const { mediaType } = JSON.parse(bytes.toString('utf8')) as { mediaType?: unknown };
    return typeof mediaType === 'string' ? parseMediaType(mediaType) : undefined;
  } catch {
    return undefined;
  }
}

function broken(message: string, cause?: unknown): UpstreamFailure {
  return new UpstreamFailure('broken', message, { cause });
}
