/** Documents as clients get them: rendered once for each state and way to reach them, and sent with conditions. */

import type { IncomingHttpHeaders } from 'node:http';
import { namesTag } from '../lib/if-none-match.ts';
import { type Piece, Rendered, type RenderedBody } from '../lib/rendered.ts';
import { singleflight } from '../lib/singleflight.ts';
import type { HeldDocument, OpaqueDoc } from './document.ts';
import type { PlainReply } from './protocol.ts';

/** Smaller bodies fit in a packet or two as they are. */
const COMPRESSED_FROM = 1024;
const DEFAULT_MAX_BYTES = 128 * 1024 * 1024;

/** A rendered document with what it was made for. */
interface Kept {
  readonly rendered: Rendered;
  readonly variant: string;
}

export class RenderedDocuments {
  readonly #kept = new Map<string, Kept>();
  /** The last that was rendered for each variant, of whose pieces the next is made. */
  readonly #latest = new Map<string, Rendered>();
  /** How many documents each piece stands in: it takes its place once. */
  readonly #holders = new Map<Piece, number>();
  readonly #rendering = singleflight<Rendered>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(options: { readonly maxBytes?: number } = {}) {
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  /**
   * The document as `render` makes it. `variant` names everything besides the document that the bytes depend on, such
   * as the address under which the client reached it; `render` is given the pieces that were last made for it. What was
   * made for one caller alone is not kept.
   */
  async of<Doc = OpaqueDoc>(
    held: HeldDocument,
    variant: string,
    render: (doc: Doc, previous: readonly Piece[]) => RenderedBody | Promise<RenderedBody>,
  ): Promise<Rendered> {
    const key = held.revision === undefined ? undefined : `${held.revision}\n${variant}`;
    const kept = key === undefined ? undefined : this.#kept.get(key);
    if (key !== undefined && kept) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return kept.rendered;
    }
    const make = async () => {
      const doc = (await held.read()) as unknown as Doc;
      return Rendered.of(await render(doc, this.#latest.get(variant)?.pieces ?? []));
    };
    if (key === undefined) return make();
    return this.#rendering(key, async () => {
      const rendered = await make();
      this.#keep(key, { rendered, variant });
      return rendered;
    });
  }

  #keep(key: string, kept: Kept): void {
    const { rendered, variant } = kept;
    if (rendered.size > this.#maxBytes / 2 || this.#kept.has(key)) return;
    this.#kept.set(key, kept);
    this.#latest.set(variant, rendered);
    for (const piece of rendered.pieces) {
      const holders = this.#holders.get(piece) ?? 0;
      this.#holders.set(piece, holders + 1);
      if (holders === 0) this.#bytes += piece.size;
    }
    for (const [oldest, { rendered: old, variant: of }] of this.#kept) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#kept.delete(oldest);
      if (this.#latest.get(of) === old) this.#latest.delete(of);
      for (const piece of old.pieces) this.#release(piece);
    }
  }

  #release(piece: Piece): void {
    const holders = (this.#holders.get(piece) ?? 0) - 1;
    if (holders > 0) {
      this.#holders.set(piece, holders);
      return;
    }
    this.#holders.delete(piece);
    this.#bytes -= piece.size;
  }
}

/** Answers with the rendered document, or that the client has it already. */
export async function renderedReply(
  request: { readonly method: string; readonly headers: IncomingHttpHeaders },
  rendered: Rendered,
  headers: Readonly<Record<string, string>> = {},
): Promise<PlainReply> {
  const tag = `"${rendered.etag}"`;
  const common = { ETag: tag, Vary: 'Accept, Accept-Encoding', ...headers };
  if (namesTag(request.headers['if-none-match'], rendered.etag)) return { status: 304, headers: common };
  const asked = rendered.size >= COMPRESSED_FROM && takesGzip(request.headers['accept-encoding']);
  return {
    status: 200,
    bytes: asked ? await rendered.gzip() : await rendered.chunks(),
    headers: { ...common, 'Content-Type': rendered.mediaType, ...(asked && { 'Content-Encoding': 'gzip' }) },
  };
}

function takesGzip(header: string | string[] | undefined): boolean {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '');
  return text.split(',').some((item) => /^\s*(gzip|\*)\s*(;\s*q=(?!0(\.0*)?\s*$).*)?$/i.test(item));
}
