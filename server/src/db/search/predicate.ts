/** One comparison of one column, so that an index can serve it where there is one. */
import type { Comparison, Value } from './criteria.ts';
import type { FieldType } from './domains.ts';
import { all, any, type DialectName, FALSE, type Fragment, not, raw, TRUE } from './fragment.ts';

export interface Column {
  readonly expression: string;
  readonly type: FieldType;
  readonly isNullable: boolean;
}

const SIGNS = { eq: '=', ne: '<>', gt: '>', gte: '>=', lt: '<', lte: '<=' } as const;

/** Whether the column compares so; a missing value equals nothing and differs from everything. */
export function compare(column: Column, op: Comparison, value: Value, dialect: DialectName): Fragment {
  const { expression, isNullable } = column;
  if (value === null) return nullness(column, op);
  if (op === 'ne' || op === 'nmatch') {
    const same = compare(column, op === 'ne' ? 'eq' : 'match', value, dialect);
    return isNullable && same !== TRUE ? any([raw(`${expression} is null`), not(same)]) : not(same);
  }
  if (typeof value === 'number') {
    return raw(`${expression} ${SIGNS[op === 'match' || op === 'imatch' ? 'eq' : op]} ${literal(value)}`);
  }
  // No column holds such a text, and PostgreSQL would refuse the parameter.
  if (value.includes('\0') || !value.isWellFormed()) return FALSE;
  if (op === 'imatch') return matchText(`lower(${expression})`, lowerAscii(value), dialect);
  if (column.type === 'path') return comparePath(column, op, value, dialect);
  return op === 'match' ? matchText(expression, value, dialect) : raw(`${expression} ${SIGNS[op]} ?`, value);
}

function nullness({ expression, isNullable }: Column, op: Comparison): Fragment {
  if (op === 'eq') return isNullable ? raw(`${expression} is null`) : FALSE;
  if (op === 'ne') return isNullable ? raw(`${expression} is not null`) : TRUE;
  return FALSE;
}

/** What both databases make of letters by themselves. */
function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Whole numbers go into the text: as parameters PostgreSQL would have to be told their type. */
function literal(value: number): string {
  return Number.isSafeInteger(value) ? String(value) : `cast('${String(value)}' as numeric)`;
}

/** The top is called `.` by those who ask and '' by the table. */
function comparePath(column: Column, op: keyof typeof SIGNS | 'match', value: string, dialect: DialectName): Fragment {
  const { expression } = column;
  if (op === 'eq') return value === '' ? FALSE : raw(`${expression} = ?`, value === '.' ? '' : value);
  if (op !== 'match') {
    return raw(`(case when ${expression} = '' then '.' else ${expression} end) ${SIGNS[op]} ?`, value);
  }
  const matched = matchText(expression, value, dialect);
  if (matched === TRUE || !matches(value, '.')) return matched;
  return any([matched, raw(`${expression} = ''`)]);
}

/** The text against a pattern. What stands before the first wildcard bounds the search of an index. */
function matchText(expression: string, pattern: string, dialect: DialectName): Fragment {
  const simple = pattern.replace(/\*+/g, '*');
  if (simple === '*') return TRUE;
  const wild = simple.search(/[*?]/);
  if (wild < 0) return raw(`${expression} = ?`, simple);
  const whole =
    dialect === 'sqlite'
      ? raw(`${expression} glob ?`, simple.replace(/\[/g, '[[]'))
      : raw(`${expression} like ?`, likePattern(simple));
  return all([...startsWith(expression, simple.slice(0, wild)), ...(isPrefix(simple, wild) ? [] : [whole])]);
}

function isPrefix(pattern: string, wild: number): boolean {
  return wild === pattern.length - 1 && pattern.endsWith('*');
}

/** Conditions that an index can search; none for an empty prefix. */
export function startsWith(expression: string, prefix: string): Fragment[] {
  if (prefix === '') return [];
  const beyond = afterAll(prefix);
  return [raw(`${expression} >= ?`, prefix), ...(beyond === undefined ? [] : [raw(`${expression} < ?`, beyond)])];
}

/** The least text, byte by byte, after all those that start with the prefix. */
export function afterAll(prefix: string): string | undefined {
  const points = [...prefix];
  while (points.length > 0) {
    const last = (points.pop() as string).codePointAt(0) as number;
    if (last === 0x10ffff) continue;
    return points.join('') + String.fromCodePoint(last === 0xd7ff ? 0xe000 : last + 1);
  }
  return undefined;
}

function likePattern(pattern: string): string {
  return pattern
    .replace(/[\\%_]/g, '\\$&')
    .replaceAll('*', '%')
    .replaceAll('?', '_');
}

/** The same decision here: two pointers, so no pattern is slow. */
export function matches(pattern: string, text: string): boolean {
  const wanted = [...pattern];
  const points = [...text];
  let at = 0;
  let position = 0;
  let star = -1;
  let starAt = 0;
  while (at < points.length) {
    if (wanted[position] === '*') {
      star = position++;
      starAt = at;
    } else if (wanted[position] === '?' || (wanted[position] !== undefined && wanted[position] === points[at])) {
      at += 1;
      position += 1;
    } else if (star >= 0) {
      position = star + 1;
      at = ++starAt;
    } else return false;
  }
  while (wanted[position] === '*') position += 1;
  return position === wanted.length;
}

/** The comparison of a value that is not in a row. */
export function holds(op: Comparison, actual: string, value: Value): boolean {
  if (value === null) return op === 'ne';
  const wanted = String(value);
  switch (op) {
    case 'eq':
      return actual === wanted;
    case 'ne':
      return actual !== wanted;
    case 'gt':
      return actual > wanted;
    case 'gte':
      return actual >= wanted;
    case 'lt':
      return actual < wanted;
    case 'lte':
      return actual <= wanted;
    case 'match':
    case 'imatch':
      return matches(wanted, actual);
    case 'nmatch':
      return !matches(wanted, actual);
  }
}
