/** Single criteria of a query, with their values read as what their fields hold. */
import type { Comparison, Criterion, Value } from '../../db/search/criteria.ts';
import type { Domain, Field } from '../../db/search/domains.ts';
import { resolveName } from './names.ts';
import { moment, momentsAgo } from './times.ts';

export interface WrittenCriterion {
  readonly name: string;
  /** With its dollar sign. */
  readonly comparison: string;
  readonly value: string | number | null;
}

/** Undefined when the field does not exist or cannot be compared so. */
export function criterionFor(from: Domain, written: WrittenCriterion, now: number): Criterion | undefined {
  const named = resolveName(from, written.name);
  if (!named) return undefined;
  const { links, domain, key, field: fieldName } = named;
  if (key !== undefined) {
    const value = typeof written.value === 'number' ? String(written.value) : written.value;
    const op = plainComparison(written.comparison);
    if (!op || domain.properties === undefined) return undefined;
    return { kind: 'property', links: [...links, domain.properties], key: key === '*' ? undefined : key, op, value };
  }
  const field = domain.fields.get(fieldName ?? '');
  if (!field || (field.type === 'computed' && field.name !== 'virtual_repos')) return undefined;
  const compared = comparisonOf(field, written, now);
  return compared && { kind: 'field', links, field: field.name, ...compared };
}

function comparisonOf(
  field: Field,
  { comparison, value }: WrittenCriterion,
  now: number,
): { readonly op: Comparison; readonly value: Value } | undefined {
  if (comparison === '$last' || comparison === '$before') {
    const since = field.type === 'date' && value !== null ? momentsAgo(String(value), now) : undefined;
    return since === undefined ? undefined : { op: comparison === '$last' ? 'gt' : 'lt', value: since };
  }
  const op = plainComparison(comparison);
  if (!op) return undefined;
  if (value === null) return op === 'eq' || op === 'ne' ? { op, value } : undefined;
  if (field.type !== 'date' && field.type !== 'number') return { op, value: String(value) };
  if (op === 'match' || op === 'nmatch') return undefined;
  const read = field.type === 'date' ? moment(value) : numberOf(value);
  return read === undefined ? undefined : { op, value: read };
}

function numberOf(value: string | number): number | undefined {
  const number = typeof value === 'number' ? value : value.trim() === '' ? Number.NaN : Number(value);
  return Number.isFinite(number) ? number : undefined;
}

function plainComparison(written: string): Comparison | undefined {
  switch (written) {
    case '$eq':
    case '$ne':
    case '$gt':
    case '$gte':
    case '$lt':
    case '$lte':
    case '$match':
    case '$nmatch':
      return written.slice(1) as Comparison;
    default:
      return undefined;
  }
}
