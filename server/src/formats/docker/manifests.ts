/** Pushing, pulling and deleting manifests (distribution-spec, "Pulling manifests" and on). */
import { Readable } from 'node:stream';
import { atRest } from '../../core/arriving.ts';
import { readAll } from '../../core/bodies.ts';
import { remoteKeyOf } from '../../core/cache-keys.ts';
import { isAppError } from '../../core/errors.ts';
import {
  type Digest,
  joinPath,
  parseDigest,
  type RepoPath,
  renderDigest,
  type Sha256,
  splitPath,
} from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Arriving, Asset, Repository, Tree } from '../../core/repository.ts';
import { placeWithAll } from './elsewhere.ts';
import { ociError } from './errors.ts';
import { serveAsked } from './existence.ts';
import { readLabels } from './labels.ts';
import { addressOf } from './links.ts';
import { digestOf, parseManifest } from './manifest.ts';
import { kindOf, wantsOnlyImages } from './media-types.ts';
import { badTag, isTag, MANIFEST, parseName, parseReference, tagFolder } from './names.ts';
import { leadOf, untag } from './placement.ts';

export interface ManifestSettings {
  readonly maxManifestBytes: number;
  readonly acceptUnknownManifests: boolean;
  readonly protectIndexChildren: boolean;
}

const MAX_TAGS_PER_PUT = 100;

export async function getManifest(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  const { repo } = context;
  const name = parseName(request.params['name'] ?? '', false);
  const text = request.params['reference'] ?? '';
  const reference = parseReference(text, false);
  const path = joinPath(tagFolder(name, text), MANIFEST);
  if ('digest' in reference) {
    const asset = await serveAsked(request, repo, { package: name, digest: reference.digest, lead: true }, path);
    if (!asset) throw unknownManifest(text);
    return manifestReply(asset, reference.digest, 'private, max-age=31536000, immutable');
  }
  const asset = await serveAsked(request, repo, { package: name, version: reference.tag }, path);
  if (!asset) throw await unknownTag(repo, name, text);
  if (kindOf(asset.mediaType) === 'index' && wantsOnlyImages(request.headers.accept)) {
    const child = await defaultImage(repo, name, await atRest(asset));
    if (child) return manifestReply(child, pinnedDigest(child), 'no-cache');
  }
  return manifestReply(asset, pinnedDigest(asset), 'no-cache');
}

/** The digest a tag was pushed with, where that was not SHA-256. */
function pinnedDigest(asset: Asset | Arriving): Digest | undefined {
  const pinned = asset.etag === undefined ? undefined : parseDigest(asset.etag);
  return pinned ?? (asset.sha256 === undefined ? undefined : { algorithm: 'sha256', hex: asset.sha256 });
}

async function unknownTag(repo: Repository, name: string, tag: string) {
  if (await repo.isFolder(name as RepoPath)) return unknownManifest(tag);
  return ociError('NAME_UNKNOWN', `There is no image "${name}" in the repository "${repo.key}".`, { detail: { name } });
}

function unknownManifest(reference: string) {
  return ociError('MANIFEST_UNKNOWN', `There is no manifest "${reference}" here.`, { detail: { reference } });
}

/** What a client that takes no index gets for one: the image of the default platform, if it is to be had. */
async function defaultImage(repo: Repository, name: string, index: Asset): Promise<Asset | Arriving | undefined> {
  const bytes = await readAll(await index.content.open(), { limit: index.size, what: 'index' });
  const child = parseManifest(bytes, index.mediaType, { acceptUnknown: true }).defaultChild;
  const digest = child === undefined ? undefined : parseDigest(child);
  return digest && repo.serve({ package: name, digest, lead: true }, 'bytes');
}

function manifestReply(asset: Asset | Arriving, digest: Digest | undefined, cacheControl: string): Reply {
  const text = digest && renderDigest(digest);
  return {
    asset,
    ...(text !== undefined && { etag: text }),
    headers: {
      ...(text !== undefined && { 'Docker-Content-Digest': text }),
      'Cache-Control': cacheControl,
      Vary: 'Accept',
      // Clients look for what a remote repository holds in a cache whose key they make of this one.
      'X-Artifactory-Docker-Registry': remoteKeyOf(asset.repo) ?? asset.repo,
    },
  };
}

export async function putManifest(
  request: ProtocolRequest,
  context: ProtocolContext,
  settings: ManifestSettings,
): Promise<Reply> {
  const { repo } = context;
  const name = parseName(request.params['name'] ?? '', true);
  const reference = parseReference(request.params['reference'] ?? '', true);
  const tags = tagsOf(reference, request.query);
  repo.require('deploy', joinPath(tagFolder(name, tags[0] ?? request.params['reference'] ?? ''), MANIFEST));
  const bytes = await readManifest(request, settings);
  const manifest = parseManifest(bytes, request.headers['content-type'], {
    acceptUnknown: settings.acceptUnknownManifests,
  });
  const sha256 = digestOf(bytes, 'sha256') as Sha256;
  const named = 'digest' in reference ? reference.digest : undefined;
  if (named && named.hex !== digestOf(bytes, named.algorithm)) {
    throw ociError(
      'DIGEST_INVALID',
      `The manifest does not have the digest "${renderDigest(named)}" under which it was sent.`,
    );
  }
  const labels = await readLabels(repo, name, manifest);
  const landed = await repo.store(name as RepoPath, Readable.from([bytes]), {
    expected: named ? { [named.algorithm]: named.hex } : { sha256 },
  });
  try {
    await placeWithAll(repo, { name, tags, manifest, content: landed, labels, named });
  } finally {
    await landed.discard();
  }
  return {
    status: 201,
    headers: {
      Location: addressOf(
        context.links,
        `${name}/manifests/${renderDigest(named ?? { algorithm: 'sha256', hex: sha256 })}`,
      ),
      'Docker-Content-Digest': renderDigest(named ?? { algorithm: 'sha256', hex: sha256 }),
      'Content-Length': '0',
      ...(manifest.subject !== undefined && { 'OCI-Subject': manifest.subject }),
      ...(named && tags.length > 0 && { 'OCI-Tag': tags }),
    },
  };
}

/** The tag of the path, or those of `?tag=` beside a digest (distribution-spec development version). */
function tagsOf(reference: ReturnType<typeof parseReference>, query: URLSearchParams): string[] {
  if ('tag' in reference) return [reference.tag];
  const tags = [...new Set(query.getAll('tag'))];
  const bad = tags.find((tag) => !isTag(tag));
  if (bad !== undefined) throw badTag(bad);
  if (tags.length > MAX_TAGS_PER_PUT) {
    throw ociError('TAG_INVALID', `At most ${MAX_TAGS_PER_PUT} tags can be given at once.`, { as: 'too_long' });
  }
  return tags;
}

async function readManifest(request: ProtocolRequest, settings: ManifestSettings): Promise<Buffer> {
  try {
    return await readAll(request.body, { limit: settings.maxManifestBytes, what: 'manifest' });
  } catch (error) {
    if (isAppError(error, 'too_large')) throw ociError('MANIFEST_INVALID', error.message, { as: 'too_large' });
    throw error;
  }
}

export async function deleteManifest(
  request: ProtocolRequest,
  context: ProtocolContext,
  settings: ManifestSettings,
): Promise<Reply> {
  const { repo } = context;
  const name = parseName(request.params['name'] ?? '', true);
  const text = request.params['reference'] ?? '';
  const reference = parseReference(text, true);
  if ('tag' in reference) {
    const folder = tagFolder(name, reference.tag);
    await repo.change(name, async (tree) => {
      if (!(await leadOf(tree, folder))) throw unknownManifest(text);
      await untag(tree, name, folder);
    });
  } else {
    await deleteByDigest(repo, name, reference.digest, settings);
  }
  return { status: 202, headers: { 'Content-Length': '0' } };
}

const DELETE_BATCH = 50;

/**
 * Removes the manifest and every tag that points to it. There may be a hundred thousand of them, so it is done in
 * changes that each take a few milliseconds; when it is interrupted, doing it again goes on.
 */
async function deleteByDigest(
  repo: Repository,
  name: string,
  digest: Digest,
  settings: ManifestSettings,
): Promise<void> {
  for (let first = true; ; first = false) {
    const deleted = await repo.change(name, async (tree) => {
      const sha256 = await tree.resolve(digest);
      const versions = sha256 ? await tree.versionsOf(name, sha256, DELETE_BATCH) : [];
      if (first && versions.length === 0) throw unknownManifest(renderDigest(digest));
      if (first && settings.protectIndexChildren) await refuseChild(tree, name, renderDigest(digest));
      for (const { path } of versions) await tree.deleteFiles(splitPath(path).parent);
      return versions.length;
    });
    if (deleted < DELETE_BATCH) return;
    // Other requests come first.
    await new Promise(setImmediate);
  }
}

async function refuseChild(tree: Tree, name: string, digest: string): Promise<void> {
  const [parent] = await tree.versionsWith(name, { key: 'oci.child', value: digest }, 1);
  if (!parent) return;
  throw ociError(
    'DENIED',
    `The manifest "${digest}" is part of the index "${parent.version}". Delete the index first.`,
  );
}
