/** Every way a request can fail that a client may be told of, and the HTTP status it has by default. */
export const STATUS = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  not_supported: 405,
  not_acceptable: 406,
  timeout: 408,
  conflict: 409,
  gone: 410,
  precondition_failed: 412,
  too_large: 413,
  too_long: 414,
  range: 416,
  expectation_failed: 417,
  rate_limited: 429,
  upstream_failed: 502,
  unavailable: 503,
  quota_exceeded: 507,
} as const;
export type ErrorCode = keyof typeof STATUS;

/** A failure a client may be told of. Anything else thrown is a bug and becomes a bare 500. */
export class AppError extends Error {
  readonly code: ErrorCode;
  /** What a protocol may need to render the failure its own way; never a secret, never a file-system path. */
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, detail: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AppError';
    this.code = code;
    this.detail = detail;
  }
}

/** In the detail of a failure that means: nobody who could be asked has it, but not all who might could be asked. */
export const UNREACHED = 'unreached';

/** Whether a thrown value is a failure of this kind. */
export function isAppError(error: unknown, code?: ErrorCode): error is AppError {
  return error instanceof AppError && (code === undefined || error.code === code);
}
