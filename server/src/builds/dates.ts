/** Moments as documents of builds hold them: `2014-09-30T12:00:19.893+0300`. */
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';

/** What a moment consists of, in order; where one does not fit, the text is malformed from there. */
const PARTS: readonly RegExp[] = [
  /\d{4}/y,
  /-(?:0[1-9]|1[0-2])/y,
  /-(?:0[1-9]|[12]\d|3[01])/y,
  /T(?:[01]\d|2[0-3])/y,
  /:[0-5]\d/y,
  /(?::[0-5]\d(?:[.,]\d{1,9})?)?/y,
  /Z|[+-](?:0\d|1[0-8]):?[0-5]\d/y,
  /$/y,
];

/** Takes a moment with its offset, refuses anything else as `invalid`. */
export function parseMoment(text: string): Date {
  let at = 0;
  for (const part of PARTS) {
    part.lastIndex = at;
    const found = part.exec(text);
    if (!found) throw malformed(text, at);
    at = part.lastIndex;
  }
  const [, date = '', time = '', offset = ''] = /^(.{10})T(.*?)(Z|[+-]\d\d:?\d\d)$/.exec(text) ?? [];
  const zone = offset === 'Z' ? 'Z' : `${offset.slice(0, 3)}:${offset.slice(-2)}`;
  const moment = new Date(`${date}T${time.replace(',', '.').replace(/(\.\d{3})\d+$/, '$1')}${zone}`);
  // The 31st of February exists for the parser of dates.
  const day = new Date(`${date}T00:00:00Z`);
  if (Number.isNaN(moment.getTime()) || !day.toISOString().startsWith(date)) throw malformed(text, 8);
  if (moment.getTime() < 0) {
    throw new AppError('invalid', `Invalid format: "${clip(text)}" lies before 1970.`);
  }
  return moment;
}

function malformed(text: string, at: number): AppError {
  return new AppError('invalid', `Invalid format: "${clip(text)}" is malformed at "${clip(text.slice(at))}"`);
}

/** A moment the way documents of builds write it. */
export function renderMoment(moment: Date): string {
  return moment.toISOString().replace('Z', '+0000');
}
