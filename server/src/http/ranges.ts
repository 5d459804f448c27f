/** The Range header (RFC 9110, section 14). */
import { AppError } from '../core/errors.ts';
import type { ByteRange } from '../core/repository.ts';

const MAX_RANGES = 64;

/**
 * The parts asked for, clamped to the size; undefined when the header is absent or not understood, which means the
 * whole. `range` when no part can be served, `invalid` when there are too many.
 */
export function parseRange(header: string | undefined, size: number): readonly ByteRange[] | undefined {
  if (header === undefined) return undefined;
  const list = /^bytes=(.*)$/.exec(header.trim())?.[1];
  if (list === undefined) return undefined;
  const parts = list.split(',').map((part) => part.trim());
  if (!parts.every((part) => /^(\d+-\d*|-\d+)$/.test(part))) return undefined;
  if (parts.length > MAX_RANGES)
    throw new AppError('invalid', `At most ${MAX_RANGES} ranges can be asked for at once.`);
  const ranges = parts.flatMap((part) => clamp(part, size) ?? []);
  if (ranges.length === 0) {
    throw new AppError('range', `None of the bytes asked for exist: the file has ${size} bytes.`, {
      headers: { 'Content-Range': `bytes */${size}` },
    });
  }
  const total = ranges.reduce((sum, { start, end }) => sum + end - start + 1, 0);
  // Overlapping ranges that add up to more than the file would make a small request cost much.
  return total > size ? undefined : ranges;
}

function clamp(part: string, size: number): ByteRange | undefined {
  const dash = part.indexOf('-');
  if (dash === 0) {
    const length = Number(part.slice(1));
    return length === 0 || size === 0 ? undefined : { start: Math.max(size - length, 0), end: size - 1 };
  }
  const start = Number(part.slice(0, dash));
  const last = part.slice(dash + 1);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return start >= size || end < start ? undefined : { start, end };
}
