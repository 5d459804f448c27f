/** `?trace`: how a download would be answered, step by step, instead of the file. */
import { AppError, STATUS } from '../../core/errors.ts';
import { isAdmin, nameOf } from '../../core/principal.ts';
import type { Reply } from '../../core/protocol.ts';
import { type TraceStep, traced } from '../../lib/trace.ts';
import type { ContentRequest } from './content-request.ts';
import { get } from './download.ts';

/** Looks for the file as a request for it would, and tells what was decided on the way; to callers what is theirs. */
export async function trace(request: ContentRequest): Promise<Reply> {
  const { exchange, repo, plain, caller } = request;
  const steps: TraceStep[] = [];
  const started = Date.now();
  const outcome = await traced(steps, () => outcomeOf(request));
  const full = isAdmin(caller.principal);
  const lines = [
    `Request ID: ${exchange.requestId}`,
    `Repo Path ID: ${repo.key}:${plain.path}`,
    `Method Name: ${exchange.request.method ?? 'GET'}`,
    `User: ${nameOf(caller.principal)}`,
    `Time: ${new Date(started).toISOString()}`,
    'Thread: main',
    'Steps:',
    ...steps
      .filter(({ forCaller }) => full || forCaller)
      .map(({ at = started, text }) => `${new Date(at).toISOString()} ${oneLine(text)}`),
    `${new Date().toISOString()} ${oneLine(outcome)}`,
  ];
  return { status: 200, text: `${lines.join('\n')}\n`, headers: { 'Cache-Control': 'no-store' } };
}

async function outcomeOf(request: ContentRequest): Promise<string> {
  try {
    const reply = await get({ ...request, withoutBytes: true });
    if (!('asset' in reply)) return `The answer has the status ${reply.status}.`;
    const { repo, path, size } = reply.asset;
    return `The answer is "${repo}/${path}"${size === undefined ? '' : ` of ${size} bytes`}.`;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return `The answer has the status ${STATUS[error.code]}: ${error.message}`;
  }
}

/** Paths come from clients: none of them may write a line of its own. */
function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f\u0085\u2028\u2029]/g, ' ');
}
