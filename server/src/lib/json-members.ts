/** Reads large JSON objects member by member, so that whoever reads them can let others in between. */

const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c];
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];

/**
 * Stands before the value of a member of an object, as `next` says of which; `value` or `members` reads it, and what is
 * not read is passed over. Throws a SyntaxError where the bytes are no JSON object.
 */
export class JsonMembers {
  readonly #bytes: Buffer;
  #at: number;
  #isFirst = true;
  #isBeforeValue = false;
  #isOver = false;
  #nested: JsonMembers | undefined;

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.#at = this.#space(at);
    this.#take(OPEN_BRACE);
  }

  /** The key of the next member; undefined behind the last. */
  next(): string | undefined {
    if (this.#isOver) return undefined;
    this.#pass();
    this.#at = this.#space(this.#at);
    if (this.#bytes[this.#at] === CLOSE_BRACE) {
      this.#take(CLOSE_BRACE);
      this.#isOver = true;
      return undefined;
    }
    if (!this.#isFirst) this.#take(COMMA);
    this.#isFirst = false;
    const start = this.#space(this.#at);
    if (this.#bytes[start] !== QUOTE) throw problem();
    this.#at = this.#string(start);
    const key = JSON.parse(this.#bytes.toString('utf8', start, this.#at)) as string;
    this.#at = this.#space(this.#at);
    this.#take(COLON);
    this.#at = this.#space(this.#at);
    this.#isBeforeValue = true;
    return key;
  }

  /** The value of the member. */
  value(): unknown {
    const start = this.#at;
    this.#pass();
    return JSON.parse(this.#bytes.toString('utf8', start, this.#at)) as unknown;
  }

  /** The members of the value; undefined where it is no object. */
  members(): JsonMembers | undefined {
    if (this.#bytes[this.#at] !== OPEN_BRACE) return undefined;
    this.#nested = new JsonMembers(this.#bytes, this.#at);
    return this.#nested;
  }

  /** Goes behind the value that it stands before, or behind what is left of its members. */
  #pass(): void {
    if (!this.#isBeforeValue) return;
    this.#isBeforeValue = false;
    if (!this.#nested) {
      this.#at = this.#behind(this.#at);
      return;
    }
    while (this.#nested.next() !== undefined);
    this.#at = this.#nested.#at;
    this.#nested = undefined;
  }

  #behind(start: number): number {
    const bytes = this.#bytes;
    let depth = 0;
    for (let at = start; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        at = this.#string(at) - 1;
        if (depth === 0) return at + 1;
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
      else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        // The end of the object itself ends a number or a word.
        if (depth === 0) return at;
        depth -= 1;
        if (depth === 0) return at + 1;
      } else if (byte === COMMA && depth === 0) return at;
    }
    throw problem();
  }

  /** Where the text that begins at the quote has ended. */
  #string(start: number): number {
    const bytes = this.#bytes;
    for (let at = start + 1; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) return at + 1;
    }
    throw problem();
  }

  #space(start: number): number {
    let at = start;
    for (let byte = this.#bytes[at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; ) {
      at += 1;
      byte = this.#bytes[at];
    }
    return at;
  }

  #take(byte: number): void {
    if (this.#bytes[this.#at] !== byte) throw problem();
    this.#at += 1;
  }
}

function problem(): SyntaxError {
  return new SyntaxError('It is not a JSON object.');
}
