/** The distribution API's own error codes (distribution-spec, "Error Codes"), and how failures become them. */
import { AppError, type ErrorCode } from '../../core/errors.ts';
import { type Digest, renderDigest } from '../../core/ids.ts';
import type { Failure, Reply } from '../../core/protocol.ts';
import { challenge } from './challenge.ts';

/** Each code and the failure it is; the status follows from the failure. */
const CODES = {
  BLOB_UNKNOWN: 'not_found',
  BLOB_UPLOAD_INVALID: 'invalid',
  BLOB_UPLOAD_UNKNOWN: 'not_found',
  DIGEST_INVALID: 'invalid',
  MANIFEST_BLOB_UNKNOWN: 'invalid',
  MANIFEST_INVALID: 'invalid',
  MANIFEST_UNKNOWN: 'not_found',
  NAME_INVALID: 'invalid',
  NAME_UNKNOWN: 'not_found',
  SIZE_INVALID: 'invalid',
  TAG_INVALID: 'invalid',
  RANGE_INVALID: 'range',
  PAGINATION_NUMBER_INVALID: 'invalid',
  DENIED: 'forbidden',
  UNSUPPORTED: 'not_supported',
} as const satisfies Record<string, ErrorCode>;
export type OciCode = keyof typeof CODES;

interface OciError {
  readonly code: string;
  readonly message: string;
  readonly detail?: unknown;
}

/** A failure that the protocol has a code for. `headers` go out with it, such as where an upload stands. */
export function ociError(
  code: OciCode,
  message: string,
  extra: { readonly detail?: unknown; readonly headers?: Record<string, string>; readonly as?: ErrorCode } = {},
): AppError {
  return new AppError(extra.as ?? CODES[code], message, {
    oci: [{ code, message, ...(extra.detail !== undefined && { detail: extra.detail }) }],
    ...(extra.headers && { headers: extra.headers }),
  });
}

/** What a manifest names that is not here: manifests themselves, or blobs. */
export interface Missing {
  readonly digests: readonly Digest[];
  readonly leads: boolean;
}

/** What the failure says is missing, where it is of that kind. */
export function missingOf(error: unknown): Missing | undefined {
  return error instanceof AppError ? (error.detail['missing'] as Missing | undefined) : undefined;
}

/** One failure with an entry for each missing thing. */
export function missingBlobs(missing: readonly Digest[], leads: boolean): AppError {
  const digests = missing.map(renderDigest);
  const listed = digests.slice(0, 100);
  const rest = digests.length - listed.length;
  return new AppError(
    'invalid',
    `The manifest names ${digests.length} blobs or manifests that are not here. Push them first.`,
    {
      missing: { digests: missing, leads } satisfies Missing,
      oci: listed.map((digest, i) => ({
        code: 'MANIFEST_BLOB_UNKNOWN',
        message:
          i === 0 && rest > 0
            ? `"${digest}" is not in this repository, nor are ${rest} more that are not listed. Push them first.`
            : `"${digest}" is not in this repository. Push it first.`,
        detail: { digest },
      })),
    },
  );
}

const FALLBACK_CODES: Readonly<Record<ErrorCode, string>> = {
  invalid: 'UNSUPPORTED',
  unauthenticated: 'UNAUTHORIZED',
  forbidden: 'DENIED',
  not_found: 'NAME_UNKNOWN',
  not_supported: 'UNSUPPORTED',
  not_acceptable: 'UNSUPPORTED',
  timeout: 'UNKNOWN',
  conflict: 'DENIED',
  gone: 'NAME_UNKNOWN',
  precondition_failed: 'DENIED',
  too_large: 'SIZE_INVALID',
  too_long: 'NAME_INVALID',
  range: 'RANGE_INVALID',
  expectation_failed: 'UNSUPPORTED',
  rate_limited: 'TOOMANYREQUESTS',
  upstream_failed: 'UNAVAILABLE',
  unavailable: 'UNAVAILABLE',
  quota_exceeded: 'UNAVAILABLE',
};

/** The error body of the protocol, with its challenge where credentials are asked for. */
export function renderFailure(failure: Failure): Reply {
  const { error } = failure;
  // Clients wait and ask again after a 503; a 502 makes some of them give up.
  const status = error.code === 'upstream_failed' ? 503 : failure.status;
  return {
    status,
    json: { errors: ociErrors(error) },
    headers: {
      ...(error.detail['headers'] as Record<string, string> | undefined),
      ...(status === 401 && { 'WWW-Authenticate': challenge(failure) }),
    },
  };
}

function ociErrors(error: AppError): readonly OciError[] {
  const own = error.detail['oci'] as readonly OciError[] | undefined;
  if (own) return own;
  if (error.detail['mismatch']) return [{ code: 'DIGEST_INVALID', message: error.message }];
  if (error.detail['upload']) return [{ code: 'BLOB_UPLOAD_UNKNOWN', message: error.message }];
  return [{ code: FALLBACK_CODES[error.code], message: error.message }];
}
