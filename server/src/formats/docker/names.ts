/** The grammar of names, tags and references, and where each kind of thing lies in the tree. */
import { AppError } from '../../core/errors.ts';
import type { Placement } from '../../core/format.ts';
import { clip, type Digest, joinPath, parseDigest, type RepoPath, type Sha256 } from '../../core/ids.ts';
import { ociError } from './errors.ts';

const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const KEY = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*$/;
const MAX_NAME = 255;

/** Folder of an image where blobs wait for a manifest to name them; each node there is a lease on its blob. */
export const UPLOADS = '_uploads';
export const MANIFEST = 'manifest.json';
export const INDEX = 'list.manifest.json';

export type Reference = { readonly tag: string } | { readonly digest: Digest };

/** The image name of a request; what no image can be called is unknown to a reader and invalid for a writer. */
export function parseName(text: string, writing: boolean): string {
  if (isName(text)) return text;
  if (!writing) throw ociError('NAME_UNKNOWN', `There is no image "${clip(text)}" here.`);
  throw ociError(
    'NAME_INVALID',
    `"${clip(text)}" cannot be the name of an image: use lower-case letters, digits, and ".", "_", "-" or "/" between them, ${MAX_NAME} characters at most.`,
  );
}

/** A tag or a digest; a colon can only be a digest's. */
export function parseReference(text: string, writing: boolean): Reference {
  if (text.includes(':')) {
    const digest = parseDigest(text);
    if (digest) return { digest };
    throw writing ? badDigest(text) : ociError('MANIFEST_UNKNOWN', `"${clip(text)}" is no digest of a manifest.`);
  }
  if (isTag(text)) return { tag: text };
  if (!writing) throw ociError('MANIFEST_UNKNOWN', `There is no manifest "${clip(text)}" here.`);
  throw badTag(text);
}

export function badTag(text: string): AppError {
  return ociError(
    'TAG_INVALID',
    `"${clip(text)}" cannot be a tag: use up to 128 letters, digits, "_", "." or "-", not starting with "." or "-", and not "${UPLOADS}".`,
  );
}

export function isName(text: string): boolean {
  return text.length <= MAX_NAME && NAME.test(text);
}

/** The folder of a tag of that name would be the one in which nothing stays. */
export function isTag(text: string): boolean {
  return TAG.test(text) && text !== UPLOADS;
}

/** The digest of a request, `DIGEST_INVALID` if it is none that this registry knows. */
export function requireDigest(text: string): Digest {
  const digest = parseDigest(text);
  if (!digest) throw badDigest(text);
  return digest;
}

function badDigest(text: string): AppError {
  return ociError(
    'DIGEST_INVALID',
    `"${clip(text)}" is not a digest this registry knows: "sha256:" with 64 or "sha512:" with 128 lower-case hex digits is needed.`,
  );
}

/** Refuses keys that docker clients could not write in front of an image name. */
export function checkKey(key: string): void {
  if (!KEY.test(key)) {
    throw new AppError(
      'invalid',
      `"${clip(key)}" cannot be the key of a docker repository: use lower-case letters and digits with ".", "_" or "-" between them, so that clients can address it.`,
    );
  }
}

/** The folder of a tagged manifest and its layers. */
export function tagFolder(image: string, tag: string): RepoPath {
  return joinPath(image, tag);
}

/** The folder of a manifest that no tag names. */
export function digestFolder(image: string, sha256: Sha256): RepoPath {
  return joinPath(image, `sha256:${sha256}`);
}

export function layerName(sha256: Sha256): string {
  return `sha256__${sha256}`;
}

/** Where a blob waits for a manifest. */
export function waitingBlob(image: string, sha256: Sha256): RepoPath {
  return joinPath(image, UPLOADS, layerName(sha256));
}

/** The image that a file at the path is part of: it lies in a folder of the image's own. */
export function imageOf(path: RepoPath): string | undefined {
  const image = path.split('/').slice(0, -2).join('/');
  return image === '' ? undefined : image;
}

/** What a file of an image is at a path to which it is copied or moved. */
export function placeFile(path: RepoPath): Placement | undefined {
  const segments = path.split('/');
  const name = segments.at(-1) ?? '';
  const folder = segments.at(-2) ?? '';
  const image = segments.slice(0, -2).join('/');
  if (folder === UPLOADS) return undefined;
  const byDigest = folder.includes(':') && parseDigest(folder) !== undefined;
  if (image.length > MAX_NAME || !NAME.test(image) || !(byDigest || isTag(folder))) {
    throw new AppError(
      'conflict',
      `"${clip(path, 300)}" is no place for a part of an image. Choose a target of the form image/tag, in lower case.`,
    );
  }
  if (name !== MANIFEST && name !== INDEX) return { package: image };
  return {
    package: image,
    version: folder,
    properties: { 'docker.repoName': [image], 'docker.manifest': [folder] },
  };
}
