/**
 * The index as clients get it. It is JSON, which is YAML too and which they read faster. Each group of charts is rendered
 * and compressed once; an index is those pieces behind one another, in its plain and in its compressed form.
 */
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { constants, crc32, deflateRaw } from 'node:zlib';
import type { RenderedBody } from '../../lib/rendered.ts';
import type { ChartGroup, ChartIndex } from './chart-index.ts';

export const INDEX_TYPE = 'application/x-yaml';

interface Piece {
  readonly bytes: Buffer;
  /** Ends at a byte and refers to nothing before it, so that it can stand behind any other. */
  readonly deflated: Buffer;
}

const compress = promisify(deflateRaw);
const pieces = new WeakMap<ChartGroup, Promise<Piece>>();
/** After so many bytes others are let in. */
const STEP_BYTES = 2 * 1024 * 1024;

async function pieceOf(text: string): Promise<Piece> {
  const bytes = Buffer.from(text);
  return { bytes, deflated: await compress(bytes, { finishFlush: constants.Z_SYNC_FLUSH }) };
}

function rendered(group: ChartGroup): Promise<Piece> {
  let piece = pieces.get(group);
  if (!piece) {
    piece = pieceOf(textOf(group));
    pieces.set(group, piece);
    piece.catch(() => pieces.delete(group));
  }
  return piece;
}

function textOf({ charts }: ChartGroup): string {
  const texts = charts.map(
    ({ name, entries }) => `${JSON.stringify(name)}:[\n${entries.map(({ json }) => json).join(',\n')}]`,
  );
  return texts.join(',\n');
}

/** `contextPath` is where clients that upload by the protocol of ChartMuseum do so. */
export async function renderIndex(index: ChartIndex, contextPath?: string): Promise<RenderedBody> {
  const info = contextPath === undefined ? {} : { serverInfo: { contextPath } };
  const end = JSON.stringify({ generated: index.generated, ...info }).slice(1);
  const [head, comma, tail] = await Promise.all([
    pieceOf('{"apiVersion":"v1","entries":{\n'),
    pieceOf(',\n'),
    pieceOf(`\n},${end}\n`),
  ]);
  const all: Piece[] = [head];
  for (const [i, group] of index.groups.entries()) {
    if (i > 0) all.push(comma);
    // One after another, so that compressing takes one thread of few.
    all.push(await rendered(group));
  }
  all.push(tail);
  return joined(all);
}

/** The header of a gzip file without a name and a time, and the empty last block of its content. */
const GZIP_HEAD = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
const LAST_BLOCK = Buffer.from([3, 0]);

async function joined(all: readonly Piece[]): Promise<RenderedBody> {
  const bytes = Buffer.allocUnsafe(all.reduce((sum, piece) => sum + piece.bytes.length, 0));
  const hash = createHash('sha1');
  let [at, sum, since] = [0, 0, 0];
  for (const piece of all) {
    for (let from = 0; from < piece.bytes.length; from += STEP_BYTES) {
      const part = piece.bytes.subarray(from, from + STEP_BYTES);
      at += part.copy(bytes, at);
      hash.update(part);
      sum = crc32(part, sum);
      since += part.length;
      if (since < STEP_BYTES) continue;
      since = 0;
      await turn();
    }
  }
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(sum >>> 0, 0);
  trailer.writeUInt32LE(bytes.length % 2 ** 32, 4);
  const gzipped = Buffer.concat([GZIP_HEAD, ...all.map(({ deflated }) => deflated), LAST_BLOCK, trailer]);
  return { bytes, mediaType: INDEX_TYPE, etag: hash.digest('hex'), gzipped };
}
