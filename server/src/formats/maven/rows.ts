/** What a row says of a file of a release; where the file lies says the rest. */
import type { DocumentSource } from '../../core/document.ts';
import type { PackageVersion } from '../../core/repository.ts';
import type { PomFacts } from './pom.ts';

export interface RowMetadata {
  /** Of a POM: what it says. */
  readonly pom?: PomFacts;
  /** Of a plugin: its prefix where it is known, and whether the plugin itself says so. */
  readonly plugin?: { readonly prefix?: string; readonly name?: string; readonly own?: true };
}

/** What was read of the rows of a package, by their names, up to the one that was written last. */
export interface KnownRows<T> {
  readonly seen: number;
  readonly rows: ReadonlyMap<string, T>;
}

/** The rows of a package as they are now; where some were read before, only what happened since is read. */
export async function followRows<T>(
  source: DocumentSource,
  packageName: string,
  previous: KnownRows<T> | undefined,
  read: (row: PackageVersion) => T,
): Promise<KnownRows<T>> {
  const rows = new Map(previous?.rows);
  let seen = previous?.seen ?? 0;
  const changes = source.changes(packageName, seen);
  for await (const row of changes.written) {
    rows.set(row.version, read(row));
    seen = Math.max(seen, row.revision);
  }
  const remaining = await changes.remaining(rows.size);
  if (remaining) for (const name of rows.keys()) if (!remaining.has(name)) rows.delete(name);
  return { seen, rows };
}
