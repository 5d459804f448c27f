/** Columns that lie in another table under a unique key: asked there first, where an index leads to the row. */
import type { Comparison, Value } from './criteria.ts';
import type { Field } from './domains.ts';
import { FALSE, type Fragment, raw } from './fragment.ts';

const SUMS: Readonly<Record<string, string>> = { actual_sha1: 'sha1', actual_md5: 'md5' };

/** The condition in the form an index can serve; undefined where the ordinary form does. */
export function byId(field: Field, alias: string, op: Comparison, value: Value): Fragment | undefined {
  const column = SUMS[field.name];
  if (column === undefined || op !== 'eq' || typeof value !== 'string') return undefined;
  if (value.includes('\0') || !value.isWellFormed()) return FALSE;
  return raw(`${alias}.sha256 in (select h.sha256 from blob h where h.${column} = ?)`, value);
}
