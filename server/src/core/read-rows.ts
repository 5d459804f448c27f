/** The rows of a package as documents are built of them: at first all of them, then those that changed. */
import type { DocumentSource } from './document.ts';
import type { PackageVersion } from './repository.ts';

/** What was made of the rows, by their names, with the number of the last: what is read next are those after it. */
export interface ReadRows<Row> {
  readonly rows: ReadonlyMap<string, Row>;
  readonly last: number;
}

/** With what was written and removed since `before`. Rows that did not change stay the same. */
export async function readRows<Row>(
  source: DocumentSource,
  packageName: string,
  before: ReadRows<Row> | undefined,
  rowOf: (row: PackageVersion) => Row,
): Promise<ReadRows<Row>> {
  const rows = new Map(before?.rows);
  let last = before?.last ?? 0;
  const changes = source.changes(packageName, last);
  for await (const row of changes.written) {
    rows.set(row.version, rowOf(row));
    last = row.revision;
  }
  const remaining = await changes.remaining(rows.size);
  if (remaining) for (const version of rows.keys()) if (!remaining.has(version)) rows.delete(version);
  return { rows, last };
}
