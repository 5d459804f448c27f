/**
 * The small part of regular expressions that layouts need, matched within a fixed number of steps: expressions come
 * from administrators and texts from anybody, and neither may keep the server busy.
 */
import { AppError } from './errors.ts';
import { clip } from './ids.ts';

/** One text being matched. */
export interface Run {
  readonly text: string;
  readonly captures: Map<string, string>;
  steps: number;
}

/** Tries to match at a place and goes on with what follows; true as soon as all of it fits. */
export type Matcher = (run: Run, at: number, next: (at: number) => boolean) => boolean;
export type CharTest = (code: number) => boolean;

const MAX_STEPS = 20_000;
const MAX_LENGTH = 300;
const MAX_REPEAT = 100;
const MAX_DEPTH = 5;

class OutOfSteps extends Error {}

/** The captures of a match of the whole text; undefined when it does not match, or not within the steps allowed. */
export function matchWhole(matcher: Matcher, text: string): ReadonlyMap<string, string> | undefined {
  const run: Run = { text, captures: new Map(), steps: 0 };
  try {
    return matcher(run, 0, (at) => at === text.length) ? run.captures : undefined;
  } catch (error) {
    if (error instanceof OutOfSteps) return undefined;
    throw error;
  }
}

function step(run: Run): void {
  run.steps += 1;
  if (run.steps > MAX_STEPS) throw new OutOfSteps();
}

export function literal(text: string): Matcher {
  return (run, at, next) => {
    step(run);
    return run.text.startsWith(text, at) && next(at + text.length);
  };
}

export function sequence(parts: readonly Matcher[]): Matcher {
  const [only] = parts;
  if (only && parts.length === 1) return only;
  return (run, at, next) => {
    const from = (index: number, place: number): boolean => {
      const part = parts[index];
      return part ? part(run, place, (then) => from(index + 1, then)) : next(place);
    };
    return from(0, at);
  };
}

export function choice(parts: readonly Matcher[]): Matcher {
  return (run, at, next) => parts.some((part) => part(run, at, next));
}

/** As many characters as possible, or as few where `lazy`. */
export function chars(test: CharTest, { min, max, lazy = false }: Repeat): Matcher {
  return (run, at, next) => {
    const limit = Math.min(run.text.length, at + max);
    let end = at;
    while (end < limit && test(run.text.charCodeAt(end))) end += 1;
    if (lazy) {
      for (let place = at + min; place <= end; place++) {
        step(run);
        if (next(place)) return true;
      }
      return false;
    }
    for (let place = end; place >= at + min; place--) {
      step(run);
      if (next(place)) return true;
    }
    return false;
  };
}

export interface Repeat {
  readonly min: number;
  readonly max: number;
  readonly lazy?: boolean;
}

/** Remembers what the part matched. A failed attempt leaves no trace. */
export function capture(name: string, part: Matcher): Matcher {
  return (run, at, next) => {
    const before = run.captures.get(name);
    const matched = part(run, at, (end) => {
      const outer = run.captures.get(name);
      run.captures.set(name, run.text.slice(at, end));
      if (next(end)) return true;
      restore(run, name, outer);
      return false;
    });
    if (!matched) restore(run, name, before);
    return matched;
  };
}

/** The same text again where the name was captured before, else `first`. */
export function again(name: string, first: Matcher, render = (value: string) => value): Matcher {
  return (run, at, next) => {
    const known = run.captures.get(name);
    if (known === undefined) return first(run, at, next);
    step(run);
    const wanted = render(known);
    return run.text.startsWith(wanted, at) && next(at + wanted.length);
  };
}

export function optional(part: Matcher, { lazy = false } = {}): Matcher {
  if (lazy) return (run, at, next) => next(at) || part(run, at, next);
  return (run, at, next) => part(run, at, next) || next(at);
}

function restore(run: Run, name: string, value: string | undefined): void {
  if (value === undefined) run.captures.delete(name);
  else run.captures.set(name, value);
}

/** Repeats a part of fixed length, so that each number of repetitions ends at one place. */
function repeat(part: Matcher, { min, max, lazy }: Repeat): Matcher {
  return (run, at, next) => {
    const ends = [at];
    while (ends.length <= max) {
      const place = ends.at(-1) ?? at;
      step(run);
      const matched = part(run, place, (end) => {
        if (end > place) ends.push(end);
        return end > place;
      });
      if (!matched) break;
    }
    const places = ends.slice(min);
    return (lazy ? places : places.reverse()).some((place) => next(place));
  };
}

/**
 * Takes an expression of the supported part, refuses any other as `invalid`. What its groups matched is captured by
 * their numbers where that is asked for.
 */
export function parseExpression(text: string, options: { readonly numbered?: boolean } = {}): Matcher {
  if (text.length > MAX_LENGTH) {
    throw new AppError('invalid', `The regular expression is longer than ${MAX_LENGTH} characters.`);
  }
  const parser = new Parser(text, options.numbered ?? false);
  return parser.whole();
}

const DIGIT: CharTest = (code) => code >= 0x30 && code <= 0x39;
const SPACE: CharTest = (code) => code === 0x20 || (code >= 0x09 && code <= 0x0d);
const WORD: CharTest = (code) =>
  DIGIT(code) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || code === 0x5f;
const CLASSES: Readonly<Record<string, CharTest>> = {
  d: DIGIT,
  D: (code) => !DIGIT(code),
  s: SPACE,
  S: (code) => !SPACE(code),
  w: WORD,
  W: (code) => !WORD(code),
};

interface Parsed {
  readonly matcher: Matcher;
  /** What one character must be, where the part is a single character. */
  readonly single?: CharTest;
  /** Whether it can match texts of different lengths, so that repeating it could be slow. */
  readonly varies: boolean;
}

class Parser {
  readonly #text: string;
  readonly #isNumbered: boolean;
  #at = 0;
  #depth = 0;
  #groups = 0;

  constructor(text: string, isNumbered: boolean) {
    this.#text = text;
    this.#isNumbered = isNumbered;
  }

  whole(): Matcher {
    if (this.#peek() === '^') this.#at += 1;
    const { matcher } = this.#choice();
    if (this.#peek() === '$') this.#at += 1;
    if (this.#at < this.#text.length) throw this.#problem(`"${this.#peek()}" is not expected there`);
    return matcher;
  }

  #choice(): Parsed {
    const parts = [this.#sequence()];
    while (this.#peek() === '|') {
      this.#at += 1;
      parts.push(this.#sequence());
    }
    const [only] = parts;
    if (only && parts.length === 1) return only;
    return { matcher: choice(parts.map(({ matcher }) => matcher)), varies: true };
  }

  #sequence(): Parsed {
    const parts: Parsed[] = [];
    for (let next = this.#peek(); next !== '' && next !== '|' && next !== ')'; next = this.#peek()) {
      if (next === '$' && this.#at === this.#text.length - 1) break;
      parts.push(this.#repeated(this.#atom()));
    }
    return { matcher: sequence(parts.map(({ matcher }) => matcher)), varies: parts.some(({ varies }) => varies) };
  }

  #repeated(part: Parsed): Parsed {
    const times = this.#times();
    if (!times) return part;
    const lazy = this.#peek() === '?';
    if (lazy || this.#peek() === '+') this.#at += 1;
    if (this.#times()) throw this.#problem('a repetition is repeated');
    if (part.single) return { matcher: chars(part.single, { ...times, lazy }), varies: times.min !== times.max };
    if (part.varies && times.max > 1) throw this.#problem('a part of varying length is repeated');
    const varies = times.min !== times.max || part.varies;
    if (!part.varies) return { matcher: repeat(part.matcher, { ...times, lazy }), varies };
    if (times.max === 0) return { matcher: sequence([]), varies: false };
    if (times.min === 1) return part;
    return { matcher: optional(part.matcher, { lazy }), varies };
  }

  #times(): { min: number; max: number } | undefined {
    const simple = { '*': [0, Number.MAX_SAFE_INTEGER], '+': [1, Number.MAX_SAFE_INTEGER], '?': [0, 1] } as const;
    const sign = this.#peek() as keyof typeof simple;
    if (Object.hasOwn(simple, sign)) {
      this.#at += 1;
      return { min: simple[sign][0], max: simple[sign][1] };
    }
    if (this.#peek() !== '{') return undefined;
    const [all, low = '', comma, high = ''] = /^\{(\d{1,3})(,)?(\d{1,3})?\}/.exec(this.#text.slice(this.#at)) ?? [];
    if (all === undefined) throw this.#problem('"{" begins no number of repetitions');
    this.#at += all.length;
    const min = Number(low);
    const max = comma === undefined ? min : high === '' ? Number.MAX_SAFE_INTEGER : Number(high);
    if (max < min || min > MAX_REPEAT || (high !== '' && max > MAX_REPEAT)) {
      throw this.#problem(`a repetition must be between 0 and ${MAX_REPEAT} times`);
    }
    return { min, max };
  }

  #atom(): Parsed {
    const char = this.#peek();
    this.#at += 1;
    switch (char) {
      case '(':
        return this.#group();
      case '[':
        return oneOf(this.#set());
      case '\\':
        return oneOf(this.#escape());
      case '.':
        return oneOf(() => true);
      case '*':
      case '+':
      case '?':
      case '{':
      case '^':
      case '$':
        throw this.#problem(`"${char}" is not expected there`);
      default:
        return oneOf(only(char));
    }
  }

  #group(): Parsed {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw this.#problem(`groups are nested deeper than ${MAX_DEPTH}`);
    const isPlain = this.#peek() !== '?';
    if (isPlain) this.#groups += 1;
    const number = String(this.#groups);
    if (!isPlain) {
      if (this.#text[this.#at + 1] !== ':') throw this.#problem('only plain groups are supported');
      this.#at += 2;
    }
    const inner = this.#choice();
    if (this.#peek() !== ')') throw this.#problem('a group is not closed');
    this.#at += 1;
    this.#depth -= 1;
    const isCaptured = isPlain && this.#isNumbered;
    return { matcher: isCaptured ? capture(number, inner.matcher) : inner.matcher, varies: inner.varies };
  }

  #escape(): CharTest {
    const char = this.#peek();
    if (char === '') throw this.#problem('it ends with a backslash');
    this.#at += 1;
    const known = CLASSES[char];
    if (known) return known;
    if (/[A-Za-z0-9]/.test(char)) throw this.#problem(`"\\${char}" is not supported`);
    return only(char);
  }

  #set(): CharTest {
    const negated = this.#peek() === '^';
    if (negated) this.#at += 1;
    const tests: CharTest[] = [];
    for (let first = true; first || this.#peek() !== ']'; first = false) {
      if (this.#peek() === '') throw this.#problem('a set of characters is not closed');
      tests.push(this.#member());
    }
    this.#at += 1;
    return (code) => tests.some((test) => test(code)) !== negated;
  }

  #member(): CharTest {
    const char = this.#peek();
    this.#at += 1;
    if (char === '\\') return this.#escape();
    const [dash, high] = [this.#peek(), this.#text[this.#at + 1]];
    if (dash !== '-' || high === undefined || high === ']' || high === '\\') return only(char);
    this.#at += 2;
    const [low, top] = [char.charCodeAt(0), high.charCodeAt(0)];
    if (low > top) throw this.#problem(`"${char}-${high}" is no range`);
    return (code) => code >= low && code <= top;
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #problem(what: string): AppError {
    return new AppError('invalid', `The regular expression "${clip(this.#text)}" is not acceptable: ${what}.`);
  }
}

function only(char: string): CharTest {
  const wanted = char.charCodeAt(0);
  return (code) => code === wanted;
}

function oneOf(test: CharTest): Parsed {
  return { matcher: chars(test, { min: 1, max: 1 }), single: test, varies: false };
}
