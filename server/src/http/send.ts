/** Sends replies. One function answers assets, so no format can get conditional or range requests wrong. */

import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { AssetReply, PlainReply, Reply } from '../core/protocol.ts';
import type { Arriving, Asset, ByteRange } from '../core/repository.ts';
import { attachmentHeader } from '../lib/content-disposition.ts';
import { namesTag } from '../lib/if-none-match.ts';
import type { Exchange } from './exchange.ts';
import { parseRange } from './ranges.ts';

/** Sends the reply and resolves when its last byte is handed to the kernel; true if that completed a download. */
export async function send(exchange: Exchange, reply: Reply): Promise<boolean> {
  if ('asset' in reply) return sendAsset(exchange, reply);
  await sendPlain(exchange, reply);
  return false;
}

async function sendPlain(exchange: Exchange, reply: PlainReply): Promise<void> {
  if (reply.pieces) return sendPieces(exchange, reply, reply.pieces);
  const { request, response, note } = exchange;
  const [body, type] = bodyOf(reply);
  response.statusCode = reply.status;
  if (reply.reason !== undefined) response.statusMessage = reply.reason;
  if (type) response.setHeader('Content-Type', type);
  for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value as string | string[]);
  const size = body.reduce((sum, { length }) => sum + length, 0);
  if (reply.status !== 204 && reply.status !== 304) response.setHeader('Content-Length', size);
  note.sizeBytes = size;
  if (request.method === 'HEAD') return end(response);
  // Handed on together at the end of this turn.
  if (body.length > 1) response.cork();
  for (const chunk of body.slice(0, -1)) response.write(chunk);
  await end(response, body.at(-1));
}

/** Gathered to this before it is handed on, so that small pieces do not cost a packet each. */
const PIECES_BYTES = 64 * 1024;

async function sendPieces(
  exchange: Exchange,
  reply: PlainReply,
  pieces: AsyncIterable<string | Buffer>,
): Promise<void> {
  const { request, response, note } = exchange;
  response.statusCode = reply.status;
  for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value as string | string[]);
  if (request.method === 'HEAD') return end(response);
  note.sizeBytes = 0;
  let gathered = '';
  const flush = async (chunk: Buffer) => {
    note.sizeBytes = (note.sizeBytes ?? 0) + chunk.length;
    if (chunk.length > 0) await write(response, chunk);
  };
  for await (const piece of pieces) {
    if (typeof piece !== 'string') {
      await flush(Buffer.from(gathered));
      gathered = '';
      await flush(piece);
      continue;
    }
    gathered += piece;
    if (gathered.length < PIECES_BYTES) continue;
    const chunk = Buffer.from(gathered);
    gathered = '';
    await flush(chunk);
  }
  const last = Buffer.from(gathered);
  note.sizeBytes += last.length;
  await end(response, last);
}

const EMPTY = Buffer.alloc(0);

/** A file as it is sent: at rest, or on its way from an upstream, when not all may be known of it. */
type Sendable = Asset | Arriving;

function bodyOf(reply: PlainReply): readonly [readonly Buffer[], string | undefined] {
  if (reply.json !== undefined) return [[Buffer.from(JSON.stringify(reply.json))], 'application/json'];
  if (reply.text !== undefined) return [[Buffer.from(reply.text)], 'text/plain; charset=utf-8'];
  return [Buffer.isBuffer(reply.bytes) ? [reply.bytes] : (reply.bytes ?? []), undefined];
}

async function sendAsset(exchange: Exchange, reply: AssetReply): Promise<boolean> {
  const { request, response } = exchange;
  const { asset } = reply;
  const tag = reply.etag ?? asset.etag ?? asset.sha256;
  const etag = tag === undefined ? undefined : `"${tag}"`;
  const isKnown = (tag !== undefined && namesTag(request.headers['if-none-match'], tag)) || isOlder(exchange, reply);
  // Asked before any header is set: an answer that none of the bytes exist tells nothing else.
  const hasRanges = reply.ranges === true && asset.size !== undefined;
  const ranges = hasRanges && !isKnown ? rangesOf(exchange, etag, asset) : undefined;
  for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value);
  if (tag !== undefined && etag !== undefined) response.setHeader('ETag', reply.bareEtag ? tag : etag);
  if (reply.lastModified && asset.modifiedAt) response.setHeader('Last-Modified', asset.modifiedAt.toUTCString());
  if (hasRanges) response.setHeader('Accept-Ranges', 'bytes');
  if ('warning' in asset && asset.warning !== undefined) response.setHeader('Warning', asset.warning);
  if (reply.disposition) setDisposition(response, asset, reply.disposition);
  if (isKnown) {
    response.statusCode = 304;
    await end(response);
    return false;
  }
  response.setHeader('Content-Type', reply.mediaType ?? asset.mediaType);
  const isDownload = request.method === 'GET' && reply.uncounted !== true;
  if (request.method === 'GET' && !ranges && reply.redirectable && (await redirected(response, asset)))
    return isDownload;
  if (asset.size === undefined) await sendOpenEnded(exchange, asset);
  else if (ranges && ranges.length > 1) await sendParts(exchange, asset, asset.size, ranges);
  else await sendBytes(exchange, asset, asset.size, ranges?.[0]);
  // Of a file that is fetched in several parts, the last one counts.
  const { size } = asset;
  const hasEnd = !ranges || ranges.some(({ end: last }) => last + 1 === size);
  return isDownload && hasEnd && response.writableFinished;
}

/** The parts asked for, unless the client has parts of something else: it names them by the tag or by the time. */
function rangesOf({ request }: Exchange, etag: string | undefined, asset: Sendable): readonly ByteRange[] | undefined {
  const condition = request.headers['if-range'];
  if (
    typeof condition === 'string' &&
    (etag === undefined || (condition !== etag && condition !== etag.slice(1, -1)))
  ) {
    const modified = Math.floor((asset.modifiedAt?.getTime() ?? 0) / 1000) * 1000;
    if (Date.parse(condition) !== modified) return undefined;
  }
  return asset.size === undefined ? undefined : parseRange(request.headers.range, asset.size);
}

async function sendBytes(
  { request, response, note }: Exchange,
  asset: Sendable,
  size: number,
  range: ByteRange | undefined,
): Promise<void> {
  const length = range ? range.end - range.start + 1 : size;
  response.statusCode = range ? 206 : 200;
  response.setHeader('Content-Length', length);
  if (range) response.setHeader('Content-Range', `bytes ${range.start}-${range.end}/${size}`);
  note.sizeBytes = length;
  if (request.method === 'HEAD' || length === 0) return end(response);
  const inline = 'inline' in asset.content ? asset.content.inline : undefined;
  if (inline) return end(response, range ? inline.subarray(range.start, range.end + 1) : inline);
  await asset.content.pump(range, (chunk) => write(response, chunk));
  await end(response);
}

/** A file whose length its upstream did not tell: its end is the end of the body. */
async function sendOpenEnded({ request, response, note }: Exchange, asset: Sendable): Promise<void> {
  response.statusCode = 200;
  note.sizeBytes = 0;
  if (request.method === 'HEAD') return end(response);
  await asset.content.pump(undefined, (chunk) => {
    note.sizeBytes = (note.sizeBytes ?? 0) + chunk.length;
    return write(response, chunk);
  });
  await end(response);
}

/** Several ranges in one answer (RFC 9110, section 15.3.7.2). */
async function sendParts(
  { request, response, note }: Exchange,
  asset: Sendable,
  size: number,
  ranges: readonly ByteRange[],
): Promise<void> {
  const boundary = randomBytes(16).toString('hex');
  const type = response.getHeader('Content-Type') as string;
  const heads = ranges.map(({ start, end: last }) =>
    Buffer.from(`\r\n--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: bytes ${start}-${last}/${size}\r\n\r\n`),
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const length = ranges.reduce(
    (sum, { start, end: last }, i) => sum + (heads[i]?.length ?? 0) + last - start + 1,
    tail.length,
  );
  response.statusCode = 206;
  response.setHeader('Content-Type', `multipart/byteranges; boundary=${boundary}`);
  response.setHeader('Content-Length', length);
  note.sizeBytes = length;
  if (request.method === 'HEAD') return end(response);
  for (const [i, range] of ranges.entries()) {
    await write(response, heads[i] ?? EMPTY);
    await asset.content.pump(range, (chunk) => write(response, chunk));
  }
  await end(response, tail);
}

async function redirected(response: ServerResponse, asset: Sendable): Promise<boolean> {
  if (!('redirect' in asset.content)) return false;
  const name = asset.path.slice(asset.path.lastIndexOf('/') + 1);
  const url = await asset.content.redirect?.(name);
  if (!url) return false;
  // Clients check the digest of the bytes they get; a header of the redirect would be taken for this answer's.
  response.removeHeader('Docker-Content-Digest');
  response.statusCode = 307;
  response.setHeader('Location', url.href);
  response.setHeader('Content-Length', 0);
  await end(response);
  return true;
}

/** Bytes that strangers deployed must not become active content of this origin. */
function setDisposition(response: ServerResponse, asset: Sendable, disposition: 'attachment' | 'inline'): void {
  const name = asset.path.slice(asset.path.lastIndexOf('/') + 1);
  if (disposition === 'attachment') response.setHeader('Content-Disposition', attachmentHeader(name));
  response.setHeader('X-Artifactory-Filename', encodeURIComponent(name));
  response.setHeader('Content-Security-Policy', "sandbox; default-src 'none'; frame-ancestors 'none'");
}

function isOlder({ request }: Exchange, { asset, lastModified }: AssetReply): boolean {
  if (!lastModified || !asset.modifiedAt || request.headers['if-none-match'] !== undefined) return false;
  const since = Date.parse(request.headers['if-modified-since'] ?? '');
  return !Number.isNaN(since) && Math.floor(asset.modifiedAt.getTime() / 1000) * 1000 <= since;
}

/** Resolves when the chunk is out of our hands, so that its buffer can be used again. */
/** Resolves when more can be sent; rejects when the client has left. */
function write(response: ServerResponse, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    // Between the end of a connection and the news of it, what is written is dropped without a word to the callback.
    const onClose = () => reject(Object.assign(new Error('The client has left.'), { code: 'ERR_STREAM_DESTROYED' }));
    response.once('close', onClose);
    response.write(chunk, (error) => {
      response.removeListener('close', onClose);
      if (error) reject(error);
      else resolve();
    });
  });
}

function end(response: ServerResponse, body?: Buffer): Promise<void> {
  return new Promise((resolve) => {
    response.once('close', resolve);
    if (body) response.end(body, () => resolve());
    else response.end(() => resolve());
  });
}
