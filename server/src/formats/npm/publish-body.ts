/**
 * The document that clients publish with: JSON that holds the tarball as base64 text. The tarball is decoded as it
 * comes and handed on; the rest is small and is read whole.
 */
import type { Readable } from 'node:stream';
import { drain, joinChunks } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { parseJson } from '../../lib/json.ts';
import { Spell } from '../../lib/spell.ts';
import { MAX_SENT_BACK } from './edit-document.ts';

/** Takes the bytes of the one tarball in a document. */
export interface TarballSink {
  write(bytes: Buffer): Promise<void> | undefined;
  end(): Promise<void>;
}

export interface PublishBody {
  /** The document, in which the tarball is an empty text. */
  readonly rest: Buffer;
  /** The name and size of the tarball that came along, if one did. */
  readonly tarball: { readonly key: string; readonly size: number } | undefined;
}

/** Of a document with a tarball; one without is sent back with changes and has all versions. */
const MAX_REST = 16 * 1024 * 1024;
const MAX_DEPTH = 100;
const SINGLE_KEYS = ['_attachments', 'versions', 'dist-tags', 'dist', 'name', 'version', 'data', '_id'];

const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c];
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY] = [0x7b, 0x7d, 0x5b, 0x5d];

/** Reads the document; `open` is asked for where the tarball goes as soon as it begins. */
export async function readPublishBody(
  body: Readable,
  open: (key: string) => TarballSink,
  signal: AbortSignal,
): Promise<PublishBody> {
  const scanner = new Scanner(open);
  const spell = new Spell();
  // Much may have arrived at once.
  const take = (chunk: Buffer) => scanner.take(chunk) ?? (spell.isOver ? spell.rest() : undefined);
  const failure = await drain(body, take, signal);
  if (failure !== undefined) throw failure;
  return scanner.finish();
}

/** The document with which a version is published; refuses, as `invalid`, what cannot be read in one way only. */
export function readPublishDocument({ rest }: PublishBody): Readonly<Record<string, unknown>> {
  const parsed = parseJson(rest, { maxDepth: MAX_DEPTH, singleKeys: SINGLE_KEYS });
  if ('problem' in parsed) throw new AppError('invalid', `The document to publish cannot be read: ${parsed.problem}.`);
  const { value } = parsed;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new AppError('invalid', 'The document to publish is not a JSON object.');
}

class Scanner {
  readonly #open: (key: string) => TarballSink;
  readonly #rest: Buffer[] = [];
  #restSize = 0;
  /** The keys on the way to where the scanner is, as far as they matter; its length is not the depth. */
  readonly #keys: (string | undefined)[] = [];
  #depth = 0;
  /** For each level whether it is an object, as far as it matters. */
  readonly #objects: boolean[] = [];
  #expectsKey = false;
  /** The bytes of a key that is being read. */
  #key: Buffer[] | undefined;
  /** Where in the chunk it begins. */
  #keyFrom = 0;
  #inString = false;
  #escaped = false;
  #data: Base64 | undefined;
  #sink: TarballSink | undefined;
  #tarball: { key: string; size: number } | undefined;

  constructor(open: (key: string) => TarballSink) {
    this.#open = open;
  }

  take(chunk: Buffer): Promise<void> | undefined {
    let at = 0;
    let waiting: Promise<void> | undefined;
    while (at < chunk.length) {
      if (this.#data) {
        const end = chunk.indexOf(QUOTE, at);
        const bytes = this.#data.decode(chunk.subarray(at, end < 0 ? chunk.length : end));
        waiting = bytes.length > 0 ? both(waiting, this.#sink?.write(bytes)) : waiting;
        if (end < 0) return waiting;
        this.#endData();
        at = end;
        // The quote closes the empty text that stands in the rest.
      }
      at = this.#scan(chunk, at);
    }
    return waiting;
  }

  async finish(): Promise<PublishBody> {
    if (this.#data) throw new AppError('invalid', 'The document to publish ends in the middle of the tarball.');
    this.#requireRoom();
    await this.#sink?.end();
    return { rest: await joinChunks(this.#rest, this.#restSize), tarball: this.#tarball };
  }

  /** Walks on to the end of the chunk, or to where the tarball begins; returns where that is. */
  #scan(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const code = chunk[at] as number;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (code === BACKSLASH) this.#escaped = true;
        else if (code === QUOTE) this.#endString(chunk, from, at);
        continue;
      }
      switch (code) {
        case QUOTE: {
          this.#inString = true;
          if (this.#expectsKey && this.#depth <= 3) {
            this.#key = [];
            this.#keyFrom = at + 1;
          } else if (!this.#expectsKey && this.#isTarball()) {
            this.#keep(chunk.subarray(from, at + 1));
            this.#beginData();
            return at + 1;
          }
          break;
        }
        case OPEN_OBJECT:
        case OPEN_ARRAY:
          this.#depth += 1;
          this.#objects[this.#depth] = code === OPEN_OBJECT;
          this.#expectsKey = code === OPEN_OBJECT;
          if (this.#depth > MAX_DEPTH)
            throw new AppError('invalid', `The document is nested deeper than ${MAX_DEPTH} levels.`);
          break;
        case CLOSE_OBJECT:
        case CLOSE_ARRAY:
          this.#depth -= 1;
          this.#expectsKey = false;
          break;
        case COLON:
          this.#expectsKey = false;
          break;
        case COMMA:
          this.#expectsKey = this.#objects[this.#depth] === true;
          break;
      }
    }
    if (this.#key) {
      this.#key.push(Buffer.from(chunk.subarray(Math.max(this.#keyFrom, from))));
      this.#keyFrom = 0;
    }
    this.#keep(chunk.subarray(from));
    return chunk.length;
  }

  #endString(chunk: Buffer, from: number, at: number): void {
    this.#inString = false;
    if (!this.#key) return;
    this.#key.push(chunk.subarray(Math.max(this.#keyFrom, from), at));
    const quoted = `"${Buffer.concat(this.#key).toString('utf8')}"`;
    this.#key = undefined;
    this.#keys[this.#depth] = textOf(quoted);
  }

  #isTarball(): boolean {
    const [, top, key, field] = this.#keys;
    return this.#depth === 3 && top === '_attachments' && field === 'data' && key?.endsWith('.tgz') === true;
  }

  #beginData(): void {
    const key = this.#keys[2] as string;
    if (this.#tarball) throw new AppError('invalid', 'Only one tarball can be published at a time.');
    this.#tarball = { key, size: 0 };
    this.#sink = this.#open(key);
    this.#data = new Base64();
  }

  #endData(): void {
    if (!this.#data || !this.#tarball) return;
    this.#data.end();
    this.#tarball.size = this.#data.size;
    this.#data = undefined;
  }

  #keep(bytes: Buffer): void {
    this.#restSize += bytes.length;
    this.#requireRoom();
    this.#rest.push(Buffer.from(bytes));
  }

  #requireRoom(): void {
    if (this.#restSize <= (this.#tarball ? MAX_REST : MAX_SENT_BACK)) return;
    if (!this.#tarball)
      throw new AppError('too_large', `The document of the package is larger than ${MAX_SENT_BACK} bytes.`);
    throw new AppError('too_large', `The document to publish is larger than ${MAX_REST} bytes without its tarball.`);
  }
}

function both(a: Promise<void> | undefined, b: Promise<void> | undefined): Promise<void> | undefined {
  if (!a || !b) return a ?? b;
  return Promise.all([a, b]).then(() => undefined);
}

function textOf(quoted: string): string {
  try {
    return String(JSON.parse(quoted));
  } catch {
    return '';
  }
}

/** Decodes base64 in pieces, strictly. */
class Base64 {
  size = 0;
  #carried = '';
  #ended = false;

  decode(chunk: Buffer): Buffer {
    // Some encoders write a slash as \/, also across two chunks.
    const text = this.#carried + chunk.toString('latin1').replaceAll('\\', '');
    const whole = text.length - (text.length % 4);
    this.#carried = text.slice(whole);
    if (whole === 0) return EMPTY;
    const now = text.slice(0, whole);
    const padding = now.endsWith('==') ? 2 : now.endsWith('=') ? 1 : 0;
    if (this.#ended || !/^[A-Za-z0-9+/]*$/.test(padding === 0 ? now : now.slice(0, -padding))) throw notBase64();
    this.#ended = padding > 0;
    const bytes = Buffer.from(now, 'base64');
    this.size += bytes.length;
    return bytes;
  }

  end(): void {
    if (this.#carried !== '') throw notBase64();
  }
}

const EMPTY = Buffer.alloc(0);

function notBase64(): AppError {
  return new AppError('invalid', 'The tarball in the document is not base64 text.');
}
