/** How the pattern of a layout is written: text, `[token]`, `[token<expression>]`, and `(what may be missing)`. */
import { AppError } from './errors.ts';
import { clip } from './ids.ts';

export type Part =
  | { readonly text: string }
  | { readonly token: string; readonly expression?: string }
  | { readonly optional: readonly Part[] };

const MAX_PATTERN = 500;
const MAX_TOKENS = 30;
const MAX_NESTING = 4;

/** Takes a pattern of a layout apart; refuses, as `invalid`, what cannot be one. */
export function parsePattern(text: string): readonly Part[] {
  if (text === '' || text.length > MAX_PATTERN) {
    throw new AppError('invalid', `A path pattern of a layout has between 1 and ${MAX_PATTERN} characters.`);
  }
  if (/[\u0000-\u001f\u007f\\]/.test(text.replace(/\[[^\]<]+<.*?>\]/g, '')) || text.split('/').includes('..')) {
    throw problem(text, 'it holds a backslash, a control character or ".."');
  }
  const reader = new PatternReader(text);
  const parts = reader.parts(0);
  if (reader.tokens === 0) throw problem(text, 'it has no token such as [module]');
  return parts;
}

class PatternReader {
  readonly #text: string;
  #at = 0;
  tokens = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parts(depth: number): Part[] {
    if (depth > MAX_NESTING) throw problem(this.#text, `round brackets are nested deeper than ${MAX_NESTING}`);
    const parts: Part[] = [];
    for (;;) {
      const [plain = ''] = /^[^[\]()]*/.exec(this.#text.slice(this.#at)) ?? [];
      if (plain !== '') parts.push({ text: plain });
      this.#at += plain.length;
      const char = this.#text[this.#at];
      this.#at += 1;
      if (char === '[') {
        parts.push(this.#token());
      } else if (char === '(') {
        parts.push({ optional: this.parts(depth + 1) });
      } else {
        if ((char === ')') !== depth > 0) {
          throw problem(this.#text, char === undefined ? 'a round bracket is not closed' : `"${char}" closes nothing`);
        }
        if (char === ']') throw problem(this.#text, '"]" closes nothing');
        return parts;
      }
    }
  }

  #token(): Part {
    this.tokens += 1;
    if (this.tokens > MAX_TOKENS) throw problem(this.#text, `it has more than ${MAX_TOKENS} tokens`);
    const [all, token, expression] = /^([A-Za-z][\w-]{0,63})(?:<(.+?)>)?\]/.exec(this.#text.slice(this.#at)) ?? [];
    if (all === undefined || token === undefined) {
      throw problem(this.#text, 'a "[" begins no token such as [module] or [name<expression>]');
    }
    this.#at += all.length;
    return { token, ...(expression !== undefined && { expression }) };
  }
}

function problem(text: string, what: string): AppError {
  return new AppError('invalid', `The path pattern "${clip(text)}" is not acceptable: ${what}.`);
}
