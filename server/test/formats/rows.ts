/** Rows of versions as a repository keeps them, with the numbers that tell what changed: what documents are built of. */
import type { DocumentSource } from '../../src/core/document.ts';
import type { RepoPath, Sha256 } from '../../src/core/ids.ts';
import type { PackageVersion } from '../../src/core/repository.ts';

type Row = PackageVersion & { readonly revision: number };

export interface PutRow {
  readonly package: string;
  /** The name of the row within its package. */
  readonly version: string;
  readonly path: RepoPath;
  readonly metadata: unknown;
  /** Two hex digits, of which the digest is made. */
  readonly digest?: string;
}

export class Rows {
  readonly #rows = new Map<string, Row>();
  readonly #changed = new Map<string, number>();
  #revision = 0;
  #sequence = 0;

  put({ digest = 'aa', ...row }: PutRow): void {
    const known = this.#rows.get(row.path);
    this.#note(row.package);
    this.#rows.set(row.path, {
      ...row,
      size: 1,
      sha256: digest.repeat(32) as Sha256,
      mediaType: 'application/gzip',
      createdAt: new Date(Date.UTC(2024, 0, 1) + this.#revision * 1000),
      sequence: known?.sequence ?? ++this.#sequence,
      revision: this.#revision,
    });
  }

  remove(packageName: string, path: string): void {
    this.#note(packageName);
    this.#rows.delete(path);
  }

  #note(name: string): void {
    this.#revision += 1;
    this.#changed.set(name, this.#revision);
  }

  /** The rows as they are now. */
  get source(): DocumentSource {
    const rows = [...this.#rows.values()];
    const of = (name: string) => rows.filter((row) => row.package === name);
    const byName = (a: Row, b: Row) => (`${a.package}\n${a.version}` < `${b.package}\n${b.version}` ? -1 : 1);
    return {
      versions: (name) => each(of(name).toSorted((a, b) => a.sequence - b.sequence)),
      changes: (name, since) => ({
        written: each(
          of(name)
            .filter(({ revision }) => revision > since)
            .toSorted((a, b) => a.revision - b.revision),
        ),
        remaining: async (known) =>
          known === of(name).length ? undefined : new Set(of(name).map(({ version }) => version)),
      }),
      packages: () => each([...new Set(rows.map((row) => row.package))].sort()),
      revisions: () => each([]),
      all: () => each(rows.toSorted(byName)),
      marks: async () => new Map([[0, this.#revision]]),
      changedPackages: (since) =>
        each([...this.#changed].filter(([, at]) => at > (since.get(0) ?? 0)).map(([name]) => name)),
    };
  }
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T, void, void> {
  yield* items;
}
