/** What goes wrong below, in the words of our contract: sentences that name the host and nothing else of the address. */
import { UpstreamFailure, type UpstreamTrouble } from '../core/upstream.ts';

const CUT_CODES: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE', 'ECONNABORTED']);

/** The failure that an error of the library stands for; one of ours is passed on. */
export function failureOf(error: unknown, host: string, hasAnswered: boolean): UpstreamFailure {
  if (error instanceof UpstreamFailure) return error;
  const code = codeOf(error);
  const [trouble, what] = describe(code, hasAnswered);
  return new UpstreamFailure(trouble, `Host "${host}" ${what}.`, { cause: error });
}

/** Whether the connection went before anything of an answer came, and was used before. */
export function isCutBeforeAnswer(error: unknown): boolean {
  if (!(error instanceof UpstreamFailure) || error.trouble !== 'broken' || !CUT_CODES.has(codeOf(error.cause))) {
    return false;
  }
  const { socket } = error.cause as { socket?: { bytesRead?: number } };
  return socket?.bytesRead !== 0;
}

function describe(code: string, hasAnswered: boolean): [UpstreamTrouble, string] {
  if (code === 'UND_ERR_BODY_TIMEOUT') return ['timeout', 'stopped sending in the middle of its answer'];
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return ['timeout', 'did not answer in time'];
  if (code === 'UND_ERR_HEADERS_OVERFLOW') return ['broken', 'sent more headers than are read'];
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') return ['broken', 'sent fewer bytes than it promised'];
  if (code === 'UND_ERR_INVALID_ARG') {
    return ['refused', 'cannot be asked with a header of the repository\'s settings; correct "customHttpHeaders"'];
  }
  if (code === 'UND_ERR_CLOSED' || code === 'UND_ERR_DESTROYED') {
    return ['broken', 'is asked with other settings meanwhile; ask again'];
  }
  if (CUT_CODES.has(code)) {
    return ['broken', hasAnswered ? 'broke off its answer' : 'closed the connection without an answer'];
  }
  return ['broken', 'sent what is no HTTP answer'];
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown error';
}
