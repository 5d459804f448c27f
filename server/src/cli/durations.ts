/** Spans of time as people write them. */
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';

const SECONDS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 };

/** Seconds of `90`, `90s`, `15m`, `12h` or `30d`; anything else is `invalid`. */
export function parseSeconds(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  if (digits === '') {
    throw new AppError('invalid', `"${clip(text)}" is no span of time. Write one such as 90s, 15m, 12h or 30d.`);
  }
  return Number(digits) * (SECONDS[unit] ?? 1);
}
