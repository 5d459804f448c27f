/** The request target, read from its raw form before anything has normalised it (RFC 9112, section 3.2). */
import { AppError } from './errors.ts';

export interface Target {
  /** Path segments as sent, without the leading slash: `/a//b;x` is `['a', '', 'b;x']`. */
  readonly segments: readonly string[];
  /** The same, each decoded once. An encoded slash stays `%2F`: it never separates. */
  readonly decoded: readonly string[];
  readonly rawQuery: string;
  /** The authority of an absolute-form target. */
  readonly authority: string | undefined;
}

const MAX_TARGET = 8192;
const PLAIN = /^[A-Za-z0-9._~!$&'()*+,;=:@-]*$/;

/** Takes the request line's target; refuses, as `invalid`, what two readers could understand differently. */
export function parseTarget(raw: string): Target {
  if (raw.length > MAX_TARGET) throw new AppError('too_long', `The address is longer than ${MAX_TARGET} characters.`);
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(raw);
  const target = absolute ? absolute[2] || '/' : raw;
  if (!target.startsWith('/')) throw new AppError('invalid', 'The address does not begin with a slash.');
  if (/[^\x21-\x7e]/.test(target)) {
    throw new AppError('invalid', 'The address holds characters that must be percent-encoded.');
  }
  const hash = target.indexOf('#');
  if (hash >= 0) throw new AppError('invalid', 'The address holds a "#", which must be encoded as %23.');
  const question = target.indexOf('?');
  const path = question < 0 ? target : target.slice(0, question);
  const rawQuery = question < 0 ? '' : target.slice(question + 1);
  if (/%00/.test(rawQuery)) throw new AppError('invalid', 'The query holds a NUL character.');
  const segments = path.slice(1).split('/');
  return { segments, decoded: segments.map(decodeSegment), rawQuery, authority: absolute?.[1] };
}

/**
 * Decodes one segment once. An encoded backslash is taken in matrix parameters only, where it escapes what would
 * separate.
 */
export function decodeSegment(segment: string): string {
  if (PLAIN.test(segment)) {
    // What stands before a parameter may be dots too.
    if (/^\.\.?(;|$)/.test(segment)) throw dots(segment.split(';', 1)[0] ?? '');
    return segment;
  }
  if (segment.includes('\\')) throw new AppError('invalid', 'The path holds a backslash, which is not allowed.');
  let text: string;
  try {
    text = decodeURIComponent(segment.replace(/%2f/gi, '%252F'));
  } catch {
    throw new AppError('invalid', 'The path holds a percent sign that does not encode UTF-8 text.');
  }
  if (/[\u0000-\u001f\u007f]/.test(text) || /%5c/i.test(segment.split(';', 1)[0] ?? '')) {
    throw new AppError('invalid', 'The path holds an encoded backslash or control character, which is not allowed.');
  }
  const bare = text.split(/;|%2F/, 1)[0] ?? '';
  if (bare === '.' || bare === '..' || text.split('%2F').some((part) => part === '.' || part === '..'))
    throw dots(bare);
  return text;
}

function dots(segment: string): AppError {
  return new AppError('invalid', `The path holds the segment "${segment}", which is not allowed.`);
}
