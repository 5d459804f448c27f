/**
 * Path patterns as Ant and Artifactory have them: `?` is one character, `*` any number within a segment, `**` any
 * number of segments, none included. No regular expression is made of one, so no pattern can be slow.
 */
import { AppError } from './errors.ts';
import { clip } from './ids.ts';

export interface AntPattern {
  readonly text: string;
  /** What every path that matches starts with, character by character: the bound of an index scan. */
  readonly prefix: string;
  matches(path: string): boolean;
  /** Whether the folder or some path below it could match. */
  mayMatchBelow(folder: string): boolean;
  /** Whether the folder and every path below it match. */
  coversBelow(folder: string): boolean;
}

const MAX_LENGTH = 1000;
const ANY_DEPTH = '**';

/**
 * Compiles a pattern. `a/b/` is short for `a/b/**`, which matches the folder `a/b` itself and all below it; a leading
 * slash means nothing. Refuses, as `invalid`, what is too long, holds control characters or could not match any path.
 */
export function compileAntPattern(text: string): AntPattern {
  const segments = parseAntSegments(text);
  const wild = segments.findIndex((segment) => isWild(segment));
  const prefix = literalPrefix(segments, wild);
  const below = {
    mayMatchBelow: (folder: string) => statesAfter(segments, folder).length > 0,
    coversBelow: (folder: string) =>
      segments.at(-1) === ANY_DEPTH && statesAfter(segments, folder).includes(segments.length - 1),
  };
  if (segments.length === 1 && segments[0] === ANY_DEPTH) return { text, prefix, matches: () => true, ...below };
  if (wild === -1) {
    const literal = segments.join('/');
    return { text, prefix, matches: (path) => path === literal, ...below };
  }
  if (wild === segments.length - 1 && segments[wild] === ANY_DEPTH) {
    const inside = `${prefix}/`;
    return { text, prefix, matches: (path) => path === prefix || path.startsWith(inside), ...below };
  }
  const matchers = segments.map(segmentMatcher);
  return { text, prefix, matches: (path) => matchSegments(matchers, splitSegments(path)), ...below };
}

/** The pattern in segments: `**`, or a name with wildcards. See `compileAntPattern` for what is refused. */
export function parseAntSegments(text: string): string[] {
  if (text.length > MAX_LENGTH) {
    throw new AppError('invalid', `A path pattern is longer than ${MAX_LENGTH} characters.`);
  }
  if (/[\u0000-\u001f\u007f\\]/.test(text) || !text.isWellFormed()) {
    throw new AppError('invalid', `The path pattern "${clip(text)}" holds a backslash or a control character.`);
  }
  const full = text.endsWith('/') ? `${text}${ANY_DEPTH}` : text;
  const segments: string[] = [];
  for (const segment of full.replace(/^\//, '').split('/')) {
    if (segment === '' || segment === '.' || segment === '..') {
      throw new AppError(
        'invalid',
        `The path pattern "${clip(text)}" is empty or has an empty segment, "." or "..": no path could match it.`,
      );
    }
    if (segment !== ANY_DEPTH || segments.at(-1) !== ANY_DEPTH) segments.push(segment);
  }
  return segments;
}

function isWild(text: string): boolean {
  return text.includes('*') || text.includes('?');
}

function literalPrefix(segments: readonly string[], wild: number): string {
  if (wild === -1) return segments.join('/');
  const segment = segments[wild] ?? '';
  const before = segments.slice(0, wild).join('/');
  // `a/b/**` matches `a/b`, so the slash is no part of its prefix; nor is it when only more `**` follows.
  if (segment === ANY_DEPTH) return segments.length === wild + 1 || before === '' ? before : `${before}/`;
  const literal = segment.slice(0, segment.search(/[*?]/));
  return before === '' ? literal : `${before}/${literal}`;
}

function splitSegments(path: string): string[] {
  return path === '' ? [] : path.split('/');
}

type SegmentMatcher = typeof ANY_DEPTH | ((segment: string) => boolean);

function segmentMatcher(pattern: string): SegmentMatcher {
  if (pattern === ANY_DEPTH) return ANY_DEPTH;
  if (!isWild(pattern)) return (segment) => segment === pattern;
  if (/^\*+$/.test(pattern)) return () => true;
  const tail = pattern.slice(1);
  if (pattern.startsWith('*') && !isWild(tail)) return (segment) => segment.endsWith(tail);
  return (segment) => matchWildcards(pattern, segment);
}

/** Two pointers: on a mismatch the latest `**` takes one segment more; earlier ones need never be tried again. */
function matchSegments(matchers: readonly SegmentMatcher[], segments: readonly string[]): boolean {
  let at = 0;
  let pattern = 0;
  let star = -1;
  let starAt = 0;
  while (at < segments.length) {
    const matcher = matchers[pattern];
    if (matcher === ANY_DEPTH) {
      star = pattern++;
      starAt = at;
    } else if (matcher?.(segments[at] ?? '')) {
      at += 1;
      pattern += 1;
    } else if (star >= 0) {
      pattern = star + 1;
      at = ++starAt;
    } else {
      return false;
    }
  }
  while (matchers[pattern] === ANY_DEPTH) pattern += 1;
  return pattern === matchers.length;
}

/** The same within a segment, where `*` takes one character more. */
function matchWildcards(pattern: string, text: string): boolean {
  let at = 0;
  let position = 0;
  let star = -1;
  let starAt = 0;
  while (at < text.length) {
    const wanted = pattern[position];
    if (wanted === '*') {
      star = position++;
      starAt = at;
    } else if (wanted === '?') {
      // A character may be two units of the text.
      at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
      position += 1;
    } else if (wanted !== undefined && wanted === text[at]) {
      at += 1;
      position += 1;
    } else if (star >= 0) {
      position = star + 1;
      at = ++starAt;
    } else {
      return false;
    }
  }
  while (pattern[position] === '*') position += 1;
  return position === pattern.length;
}

/** Where in the pattern one can be once the folder's segments are read; the pattern's length means at its end. */
function statesAfter(segments: readonly string[], folder: string): number[] {
  let states = closure(segments, [0]);
  for (const name of splitSegments(folder)) {
    const next: number[] = [];
    for (const state of states) {
      const pattern = segments[state];
      if (pattern === undefined) continue;
      if (pattern === ANY_DEPTH) next.push(state);
      else if (matchWildcards(pattern, name)) next.push(state + 1);
    }
    states = closure(segments, next);
  }
  return states;
}

function closure(segments: readonly string[], states: readonly number[]): number[] {
  const all = new Set<number>();
  for (const start of states) {
    for (let state = start; !all.has(state); state++) {
      all.add(state);
      if (segments[state] !== ANY_DEPTH) break;
    }
  }
  return [...all];
}
