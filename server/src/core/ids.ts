/** The identifiers of the domain. Each is made by one parse function; past it nobody checks again. */
import { AppError } from './errors.ts';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** 64 lower-case hex digits. */
export type Sha256 = Brand<string, 'Sha256'>;
/** The name of a repository, as in URLs and permissions. */
export type RepoKey = Brand<string, 'RepoKey'>;
/** Decoded and relative: no leading slash, no empty, `.` or `..` segment. The root is ''. */
export type RepoPath = Brand<string, 'RepoPath'>;

export const ROOT = '' as RepoPath;

export type ChecksumAlgorithm = 'sha256' | 'sha1' | 'md5';

/** What verifies bytes. SHA-1 and MD5 exist because the REST API promises them. */
export interface Checksums {
  readonly sha256: Sha256;
  readonly sha1: string;
  readonly md5: string;
}

/** What names bytes: an algorithm and its lower-case hex value, `sha256:…` or `sha512:…`. */
export interface Digest {
  readonly algorithm: 'sha256' | 'sha512';
  readonly hex: string;
}

/** As Artifactory has them: a key holds one or more values. */
export type Properties = Readonly<Record<string, readonly string[]>>;

const SHA256 = /^[0-9a-f]{64}$/;
const SHA512 = /^[0-9a-f]{128}$/;
const REPO_KEY = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** What fits in an index entry of every database, with the name of the repository. */
const MAX_PATH_BYTES = 2048;
const MAX_SEGMENT_BYTES = 255;
const MAX_SEGMENTS = 128;

/** Paths the server answers itself, where a repository could not be reached, and the word for all repositories. */
const RESERVED_KEYS = new Set([
  'any',
  'api',
  'v1',
  'v2',
  'ui',
  'access',
  'artifactory',
  'webapp',
  'repo',
  'list',
  'simple',
  'router',
]);

/** Takes 64 lower-case hex digits, refuses anything else as `invalid`. */
export function parseSha256(text: string): Sha256 {
  if (!SHA256.test(text)) {
    throw new AppError('invalid', `"${clip(text)}" is not a SHA-256 checksum: 64 lower-case hex digits are needed.`);
  }
  return text as Sha256;
}

/** Takes `sha256:<64 hex>` or `sha512:<128 hex>`; undefined when the text is no such digest. */
export function parseDigest(text: string): Digest | undefined {
  const colon = text.indexOf(':');
  const algorithm = text.slice(0, colon);
  const hex = text.slice(colon + 1);
  if (algorithm === 'sha256' && SHA256.test(hex)) return { algorithm, hex };
  if (algorithm === 'sha512' && SHA512.test(hex)) return { algorithm, hex };
  return undefined;
}

export function renderDigest(digest: Digest): string {
  return `${digest.algorithm}:${digest.hex}`;
}

/** Takes a name that can be a repository's, refuses anything else as `invalid`. */
export function parseRepoKey(text: string): RepoKey {
  if (!REPO_KEY.test(text)) {
    throw new AppError(
      'invalid',
      `"${clip(text)}" cannot be a repository key: use up to 64 letters, digits, ".", "_" or "-", starting with a letter or digit.`,
    );
  }
  if (RESERVED_KEYS.has(text.toLowerCase())) {
    throw new AppError('invalid', `"${text}" cannot be a repository key: the server uses that name itself.`);
  }
  return text as RepoKey;
}

/** The same for a repository to be made: names that read like numbers or that the server may need are refused too. */
export function parseNewRepoKey(text: string): RepoKey {
  const key = parseRepoKey(text);
  if (/^\d/.test(key)) {
    throw new AppError('invalid', `"${clip(text)}" cannot be a repository key: it must not begin with a digit.`);
  }
  if (/^(?:jfrog-(?:support-bundle|usage-logs|logs)|auto-trashcan|configurations|existence)$/i.test(key)) {
    throw new AppError('invalid', `"${text}" cannot be a repository key: the server uses that name itself.`);
  }
  return key;
}

/** Takes a decoded relative path and refuses, as `invalid`, whatever could mean another place than it says. */
export function parseRepoPath(text: string): RepoPath {
  if (text === '') return ROOT;
  if (Buffer.byteLength(text) > MAX_PATH_BYTES) {
    throw new AppError('invalid', `The path is longer than ${MAX_PATH_BYTES} bytes.`);
  }
  const segments = text.split('/');
  if (segments.length > MAX_SEGMENTS) {
    throw new AppError('invalid', `The path has more than ${MAX_SEGMENTS} segments.`);
  }
  for (const segment of segments) requireSegment(segment, text);
  return text as RepoPath;
}

function requireSegment(segment: string, path: string): void {
  if (segment === '') throw new AppError('invalid', `The path "${clip(path)}" has an empty segment.`);
  if (segment === '.' || segment === '..') {
    throw new AppError('invalid', `The path "${clip(path)}" has the segment "${segment}", which is not allowed.`);
  }
  if (/[\u0000-\u001f\u007f\\]/.test(segment)) {
    throw new AppError('invalid', 'The path holds a backslash or a control character, which is not allowed.');
  }
  if (Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) {
    throw new AppError('invalid', `A segment of the path is longer than ${MAX_SEGMENT_BYTES} bytes.`);
  }
  if (!segment.isWellFormed()) throw new AppError('invalid', 'The path is not valid Unicode.');
}

export function joinPath(...parts: readonly string[]): RepoPath {
  return parts.filter((part) => part !== '').join('/') as RepoPath;
}

/** The path as it stands in an address. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** The folder a path lies in and its last segment; the root has neither. */
export function splitPath(path: RepoPath): { readonly parent: RepoPath; readonly name: string } {
  const slash = path.lastIndexOf('/');
  return { parent: path.slice(0, Math.max(slash, 0)) as RepoPath, name: path.slice(slash + 1) };
}

/** Shortens what a client sent before it is echoed in a message, and takes the control characters out of it. */
export function clip(text: string, max = 120): string {
  const clean = text.replace(/[\u0000-\u001f\u007f<>]/g, '?').toWellFormed();
  return clean.length > max ? `${clean.slice(0, max)}…` : clean;
}
