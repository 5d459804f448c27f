/** What an answer of an upstream means, and what callers are told of trouble with it. */
import type { IncomingHttpHeaders } from 'node:http';
import { AppError } from '../../core/errors.ts';
import type { RepoKey, RepoPath, Sha256 } from '../../core/ids.ts';
import { parseDigest } from '../../core/ids.ts';
import type { Fetch } from '../../core/remote.ts';
import { type UpstreamAnswer, UpstreamFailure } from '../../core/upstream.ts';
import type { RemoteSettings } from './settings.ts';

export type Verdict =
  | { readonly kind: 'bytes' }
  | { readonly kind: 'unchanged' }
  /** `refused` where the upstream would not say whether there is one. */
  | { readonly kind: 'absent'; readonly refused: boolean; readonly reason: string };

/** What is known of a file before its bytes are here; as JSON for other processes, too. */
export interface Description {
  readonly path: RepoPath;
  readonly size: number | undefined;
  readonly mediaType: string;
  readonly modifiedAt: number | undefined;
  readonly sha256: Sha256 | undefined;
  readonly etag: string | undefined;
  readonly sha1: string | undefined;
  readonly md5: string | undefined;
}

/** What an upstream declares its bytes to be, in the words of Artifactory. */
export interface UpstreamChecksums {
  readonly sha256?: string | undefined;
  readonly sha1?: string | undefined;
  readonly md5?: string | undefined;
}

const PAGE = /^(?:text\/html|application\/xhtml\+xml)\b/i;
const PAGE_NAME = /\.(?:x?html?|htm|php|aspx?|jsp)$/i;
/** Servers that know nothing better call such files encoded. */
const COMPRESSED_NAME = /\.(?:gz|tgz|z|bz2|tbz2?|xz|txz|zst|br|crate|svgz)$/i;
const ABSENT = new Set([404, 410]);

/** Reads the status; throws an AppError for what can be neither used nor taken for an absence. */
export function judge(
  answer: Pick<UpstreamAnswer, 'status' | 'headers'>,
  asked: { readonly repo: RepoKey; readonly missing?: readonly number[] | undefined; readonly conditional: boolean },
): Verdict {
  const { status, headers } = answer;
  const { repo } = asked;
  if (status === 200) return { kind: 'bytes' };
  if (status === 304 && asked.conditional) return { kind: 'unchanged' };
  if (status === 401 || status === 403) {
    const reason = `The upstream of "${repo}" answered ${status}: it gives this to nobody, or not to the account in the settings of the repository.`;
    return { kind: 'absent', refused: true, reason };
  }
  if (ABSENT.has(status) || asked.missing?.includes(status)) {
    return { kind: 'absent', refused: false, reason: `The upstream of "${repo}" answered ${status}: it has none.` };
  }
  if (status === 429) {
    const seconds = retrySeconds(headers['retry-after']);
    throw new AppError('rate_limited', `The upstream of "${repo}" wants to be asked less often. Try again later.`, {
      retryAfterSeconds: seconds ?? 60,
    });
  }
  if (status >= 500) {
    throw new AppError('unavailable', `The upstream of "${repo}" has trouble (${status}). Try again later.`);
  }
  throw new AppError(
    'upstream_failed',
    `The upstream of "${repo}" answered ${status}, which is no answer to what was asked.`,
  );
}

/** Refuses, as `upstream_failed`, bytes that cannot be what the path says. */
export function checkKind(repo: RepoKey, headers: IncomingHttpHeaders, fetch: Fetch, settings: RemoteSettings): void {
  const type = String(headers['content-type'] ?? '').trim();
  const bare = type.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (fetch.digest) return;
  if (settings.blocksPages && PAGE.test(bare) && !PAGE_NAME.test(fetch.path) && !settings.acceptedPages.has(bare)) {
    throw new AppError(
      'upstream_failed',
      `The upstream of "${repo}" answered with a page (${bare}) in the place of the file. An administrator can allow that by "blockMismatchingMimeTypes".`,
    );
  }
  const encoding = String(headers['content-encoding'] ?? 'identity').toLowerCase();
  if (encoding !== 'identity' && encoding !== '' && !COMPRESSED_NAME.test(fetch.path)) {
    throw new AppError(
      'upstream_failed',
      `The upstream of "${repo}" sent the file encoded ("${encoding.slice(0, 40)}") although it was not asked to.`,
    );
  }
}

/** How long the body is; undefined where the answer does not say. Throws where it says nonsense. */
export function lengthOf(repo: RepoKey, headers: IncomingHttpHeaders): number | undefined {
  const text = headers['content-length'];
  if (text === undefined || headers['transfer-encoding'] !== undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) {
    throw new AppError('upstream_failed', `The upstream of "${repo}" gave no length that can be.`);
  }
  return Number(text);
}

/** What the headers declare the bytes to be; what is no checksum does not count. */
export function declaredIn(headers: IncomingHttpHeaders): UpstreamChecksums {
  const hex = (name: string, length: number) => {
    const value = String(headers[name] ?? '')
      .trim()
      .toLowerCase();
    return value.length === length && /^[0-9a-f]+$/.test(value) ? value : undefined;
  };
  return { sha256: hex('x-checksum-sha256', 64), sha1: hex('x-checksum-sha1', 40), md5: hex('x-checksum-md5', 32) };
}

/** What the headers of an answer tell of the file. */
export function describe(repo: RepoKey, headers: IncomingHttpHeaders, fetch: Fetch): Description {
  const declared = declaredIn(headers);
  const found = fetch.identify?.(headers);
  const digest = fetch.digest ?? found?.digest;
  const sha256 = digest?.algorithm === 'sha256' ? digest.hex : digest ? undefined : declared.sha256;
  return {
    path: fetch.path,
    size: lengthOf(repo, headers),
    mediaType: fetch.mediaType ?? found?.mediaType ?? mediaTypeOf(headers),
    modifiedAt: timeOf(headers['last-modified']),
    sha256: sha256 as Sha256 | undefined,
    etag: digest?.algorithm === 'sha512' ? `sha512:${digest.hex}` : undefined,
    sha1: declared.sha1,
    md5: declared.md5,
  };
}

export function mediaTypeOf(headers: IncomingHttpHeaders): string {
  const type = headers['content-type']?.trim() ?? '';
  return /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;[\x20-\x7e]*)?$/.test(type) && type.length <= 200
    ? type
    : 'application/octet-stream';
}

/** A time that a header gives, as long as it can be one. */
export function timeOf(text: string | undefined): number | undefined {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) || time < 0 || time > Date.now() + 24 * 3600_000 ? undefined : time;
}

/** A tag by which parts of the same bytes can be asked for. */
export function strongEtag(headers: IncomingHttpHeaders): string | undefined {
  const etag = headers.etag?.trim();
  return etag !== undefined && /^"[^"]{1,500}"$/.test(etag) ? etag : undefined;
}

/** A failure that callers may be told of, with what they can do about it. */
export function troubleOf(repo: RepoKey, error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (!(error instanceof UpstreamFailure)) throw error;
  const options = { cause: error };
  const told = `The upstream of "${repo}" could not be asked: ${error.message}`;
  switch (error.trouble) {
    case 'rate-limited':
      return new AppError('rate_limited', told, { retryAfterSeconds: secondsOf(error.retryAfterMs) ?? 60 }, options);
    case 'refused':
    case 'broken':
      return new AppError('upstream_failed', told, {}, options);
    default:
      return new AppError('unavailable', told, { retryAfterSeconds: secondsOf(error.retryAfterMs) ?? 5 }, options);
  }
}

/** What a digest as text names, for tags that name bytes by one. */
export function digestOfTag(etag: string | undefined) {
  return etag === undefined ? undefined : parseDigest(etag);
}

function secondsOf(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.min(3600, Math.max(1, Math.ceil(ms / 1000)));
}

function retrySeconds(field: string | undefined): number | undefined {
  const text = field?.trim() ?? '';
  if (/^\d{1,20}$/.test(text)) return Math.min(3600, Math.max(1, Number(text)));
  const at = /[A-Za-z]/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.min(3600, Math.max(1, Math.ceil((at - Date.now()) / 1000)));
}
