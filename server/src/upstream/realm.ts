/** Asks a realm for a token: redirects are followed within its origin, and little is read. */
import { UpstreamFailure } from '../core/upstream.ts';
import { PRODUCT } from '../lib/product.ts';
import { type Hop, nextHop } from './redirects.ts';
import { discard, type Sender } from './sender.ts';
import type { RealmAnswer } from './tokens.ts';
import type { ExchangeAnswer } from './transport.ts';

export interface RealmQuestion {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly authorization: string | undefined;
  readonly form: string | undefined;
}

const MAX_BYTES = 256 * 1024;
const MAX_REDIRECTS = 3;
const TIMEOUT_MS = 30_000;

/** The answer of a realm, read whole. Other origins that it leads to are not followed: they are not who was asked for. */
export async function askRealm(
  sender: Sender,
  { method, url, authorization, form }: RealmQuestion,
): Promise<RealmAnswer> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const headers = {
    'user-agent': `${PRODUCT.name}/${PRODUCT.version}`,
    accept: 'application/json',
    'accept-encoding': 'identity',
    ...(authorization !== undefined && { authorization }),
    ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
  };
  let hop: Hop = { method, url, body: form === undefined ? undefined : Buffer.from(form) };
  try {
    for (let redirects = 0; ; redirects += 1) {
      const answer = await sender.send({ ...hop, headers, signal });
      const next = redirects < MAX_REDIRECTS ? nextWithin(hop, answer) : undefined;
      if (!next) return { status: answer.status, headers: answer.headers, body: await readLimited(answer, url.host) };
      discard(answer);
      hop = next;
    }
  } catch (error) {
    if (!signal.aborted || error instanceof UpstreamFailure) throw error;
    throw new UpstreamFailure('timeout', `Host "${url.host}" takes too long to hand out a token.`);
  }
}

function nextWithin(hop: Hop, answer: ExchangeAnswer): Hop | undefined {
  const next = nextHop(hop, answer.status, answer.headers);
  return next?.url.origin === hop.url.origin ? next : undefined;
}

async function readLimited({ body }: ExchangeAnswer, host: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) {
      throw new UpstreamFailure(
        'broken',
        `Host "${host}" was asked for a token and answered with more than one can be.`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
