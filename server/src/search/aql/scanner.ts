/** Reads the words of a query one after another. */
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';

const ECHO = 400;
const SPACE = /[\s\uFEFF]*/y;
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /[A-Za-z_][A-Za-z_]*/y;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  // What `jf` escapes for file systems it sends as it is.
  "'": "'",
};

export class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Whether this comes next; it is then behind us. */
  takes(token: string): boolean {
    this.#skipSpace();
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  needs(token: string): void {
    if (!this.takes(token)) throw this.failure();
  }

  /** Whether this comes next. */
  sees(token: string): boolean {
    this.#skipSpace();
    return this.#text.startsWith(token, this.#at);
  }

  needsEnd(): void {
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.failure();
  }

  word(): string {
    this.#skipSpace();
    return this.#match(WORD) ?? this.#fail();
  }

  number(): number {
    this.#skipSpace();
    return Number(this.#match(NUMBER) ?? this.#fail());
  }

  /** A value as it was written: a text, a number or null. */
  value(): string | number | null {
    this.#skipSpace();
    if (this.#text[this.#at] === '"') return this.string();
    const number = this.#match(NUMBER);
    if (number !== undefined) return Number(number);
    for (const [word, value] of [
      ['null', null],
      ['true', 'true'],
      ['false', 'false'],
    ] as const) {
      if (this.takes(word)) return value;
    }
    return this.#fail();
  }

  string(): string {
    this.#skipSpace();
    const start = this.#at;
    if (this.#text[start] !== '"') return this.#fail();
    let text = '';
    let from = start + 1;
    for (let at = from; at < this.#text.length; at++) {
      const char = this.#text[at];
      if (char === '"') {
        this.#at = at + 1;
        return text + this.#text.slice(from, at);
      }
      if (char !== '\\') continue;
      text += this.#text.slice(from, at);
      const next = this.#text[at + 1] ?? '';
      const hex = next === 'u' ? this.#text.slice(at + 2, at + 6) : '';
      if (/^[0-9a-fA-F]{4}$/.test(hex)) {
        text += String.fromCharCode(Number.parseInt(hex, 16));
        at += 5;
      } else if (Object.hasOwn(ESCAPES, next)) {
        text += ESCAPES[next];
        at += 1;
      } else return this.#fail();
      from = at + 1;
    }
    return this.#fail();
  }

  /** What to tell who wrote the query: where reading it came to an end. */
  failure(reason?: string): AppError {
    const rest = this.#text.slice(this.#at);
    const message = `Failed to parse query: ${clip(this.#text, ECHO)}, it looks like there is syntax error near the following sub-query: ${clip(rest, ECHO)}`;
    return new AppError('invalid', reason === undefined ? message : `${message} (${clip(reason, 200)})`);
  }

  #fail(): never {
    throw this.failure();
  }

  #skipSpace(): void {
    SPACE.lastIndex = this.#at;
    SPACE.exec(this.#text);
    this.#at = SPACE.lastIndex;
  }

  #match(expression: RegExp): string | undefined {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.#text)?.[0];
    if (found !== undefined) this.#at = expression.lastIndex;
    return found;
  }
}
