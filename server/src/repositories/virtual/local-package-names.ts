/** Names of the packages of local repositories, kept by what changed: most changes are of packages that were there. */
import type { RepositoryMarks } from '../../core/document.ts';
import type { Database } from '../../db/database.ts';
import { holdsPackage } from '../../db/local-names.ts';
import { listChangedPackages, listRepositoryMarks } from '../../db/package-revisions.ts';
import { listPackages } from '../../db/package-versions.ts';
import { Lru } from '../../lib/lru.ts';
import { singleflight } from '../../lib/singleflight.ts';

const PAGE = 500;
const KEPT = 64;

export interface HeldNames {
  /** Another one whenever a name came or went. */
  readonly state: number;
  readonly names: ReadonlySet<string>;
}

interface Kept extends HeldNames {
  readonly marks: RepositoryMarks;
}

export class LocalPackageNames {
  readonly #database: Database;
  readonly #kept = new Lru<number, Kept>({ maxEntries: KEPT });
  readonly #reading = singleflight<Kept>();
  #states = 0;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Of the repository with this id, as they are now. */
  async of(repoId: number): Promise<HeldNames> {
    const marks = await this.#database.read((db) => listRepositoryMarks(db, repoId));
    const kept = this.#kept.get(repoId);
    if (kept && isSame(kept.marks, marks)) return kept;
    return this.#reading(`${repoId}\n${[...marks].join(' ')}`, async () => {
      const fresh = kept ? await this.#renewed(repoId, kept, marks) : await this.#all(repoId, marks);
      this.#kept.set(repoId, fresh);
      return fresh;
    });
  }

  async #all(repoId: number, marks: RepositoryMarks): Promise<Kept> {
    const names = new Set<string>();
    for (let after: string | undefined; ; ) {
      const page = { limit: PAGE, ...(after !== undefined && { after }) };
      const found = await this.#database.read((db) => listPackages(db, repoId, page));
      for (const name of found) names.add(name);
      if (found.length < PAGE) return { state: ++this.#states, names, marks };
      after = found.at(-1);
      // Reading from a database in this process never waits, so the others have to be let in.
      await new Promise(setImmediate);
    }
  }

  async #renewed(repoId: number, kept: Kept, marks: RepositoryMarks): Promise<Kept> {
    let names: Set<string> | undefined;
    for (const [slot, revision] of marks) {
      for (let since = kept.marks.get(slot) ?? 0; since < revision; ) {
        const from = { since, limit: PAGE };
        const page = await this.#database.read((db) => listChangedPackages(db, repoId, slot, from));
        for (const { name } of page) {
          const isThere = await this.#database.read((db) => holdsPackage(db, [repoId], name, 'exact'));
          if (isThere === (names ?? kept.names).has(name)) continue;
          names ??= new Set(kept.names);
          if (isThere) names.add(name);
          else names.delete(name);
        }
        if (page.length < PAGE) break;
        since = page.at(-1)?.changed ?? revision;
        await new Promise(setImmediate);
      }
    }
    return names ? { state: ++this.#states, names, marks } : { ...kept, marks };
  }
}

function isSame(some: RepositoryMarks, others: RepositoryMarks): boolean {
  return some.size === others.size && [...some].every(([slot, revision]) => others.get(slot) === revision);
}
