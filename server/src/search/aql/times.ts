/** Moments as queries write them. */

const ISO =
  /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2})(?::?(\d{2})(?::?(\d{2})(?:[.,](\d{1,9}))?)?)?)?)?)?\s*(Z|[+-]\d{2}(?::?\d{2})?)?$/i;
const PERIOD = /^(\d{1,12})\s*([a-z]+)$/i;
const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  millis: 1,
  s: 1000,
  seconds: 1000,
  mi: 60_000,
  minutes: 60_000,
  d: 86_400_000,
  days: 86_400_000,
  w: 604_800_000,
  weeks: 604_800_000,
};
const UNIT_MONTHS: Readonly<Record<string, number>> = { mo: 1, months: 1, y: 12, years: 12 };
/** What a JavaScript date can hold. */
const MAX_MS = 8.64e15;

/** Epoch milliseconds of a date of any precision, or of a number of them; undefined for anything else. */
export function moment(value: string | number): number | undefined {
  const text = String(value).trim();
  if (/^-?\d+$/.test(text) && text.length !== 4) {
    const ms = Number(text);
    return Math.abs(ms) <= MAX_MS ? ms : undefined;
  }
  const [, year, month = '01', day = '01', hour = '00', minute = '00', second = '00', fraction = '', zone = 'Z'] =
    ISO.exec(text) ?? [];
  if (year === undefined) return undefined;
  const ms = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  const date = new Date(ms);
  // 31 February would silently be another day.
  if (date.getUTCDate() !== Number(day) || date.getUTCMonth() !== Number(month) - 1) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  return ms + Number(fraction.padEnd(3, '0').slice(0, 3)) - offsetMs(zone);
}

function offsetMs(zone: string): number {
  const [, sign, hours = '0', minutes = '0'] = /^([+-])(\d{2}):?(\d{2})?$/.exec(zone) ?? [];
  if (sign === undefined) return 0;
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
}

/** The moment a period such as `30d` or `3mo` before now; undefined when it is no period. */
export function momentsAgo(text: string, now: number): number | undefined {
  const [, amount, unit = ''] = PERIOD.exec(text.trim()) ?? [];
  if (amount === undefined) return undefined;
  const unitName = unit.toLowerCase();
  const ms = Object.hasOwn(UNIT_MS, unitName) ? UNIT_MS[unitName] : undefined;
  if (ms !== undefined) return Math.max(now - Number(amount) * ms, -MAX_MS);
  const months = Object.hasOwn(UNIT_MONTHS, unitName) ? UNIT_MONTHS[unitName] : undefined;
  if (months === undefined) return undefined;
  return monthsBefore(now, Number(amount) * months);
}

function monthsBefore(now: number, months: number): number {
  const date = new Date(now);
  const day = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() - months);
  if (Number.isNaN(date.getTime())) return -MAX_MS;
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  date.setUTCDate(Math.min(day, last));
  return date.getTime();
}
