/** Documents of a repository as its rows make them, kept until a version changes. */
import type { HeldDocument, OpaqueDoc } from '../core/document.ts';
import type { Format } from '../core/format.ts';
import type { PackageVersion } from '../core/repository.ts';
import type { Database } from '../db/database.ts';
import { getPackageRevision } from '../db/package-revisions.ts';
import { listPackages, listVersions } from '../db/package-versions.ts';
import type { RepositoryRow } from '../db/repositories.ts';
import { Lru } from '../lib/lru.ts';
import { singleflight } from '../lib/singleflight.ts';

export interface DocumentDeps {
  readonly database: Database;
  readonly formats: readonly Format[];
}

const KEPT = 64;
const PAGE = 500;

interface Built {
  readonly revision: number;
  readonly doc: OpaqueDoc | undefined;
  readonly at: Date;
}

export class LocalDocuments {
  readonly #deps: DocumentDeps;
  readonly #row: RepositoryRow;
  readonly #built = new Lru<string, Built>({ maxEntries: KEPT });
  readonly #building = singleflight<Built>();

  constructor(deps: DocumentDeps, row: RepositoryRow) {
    this.#deps = deps;
    this.#row = row;
  }

  /** Undefined where the format has no such kind, or nothing here has the name. */
  async get(kind: string, name: string): Promise<HeldDocument | undefined> {
    const { id, packageType } = this.#row;
    const { formats, database } = this.#deps;
    const definition = formats.find(({ packageTypes }) => packageTypes.includes(packageType))?.documents?.[kind];
    if (!definition) return undefined;
    const packageName = definition.package(name);
    const key = `${kind}\n${name}`;
    const revision = await database.read((db) => getPackageRevision(db, id, packageName));
    if (revision === 0 && packageName !== undefined) return undefined;
    const kept = this.#built.get(key);
    const built =
      kept?.revision === revision
        ? kept
        : await this.#building(`${key}\n${revision}`, async () => {
            // Rows may be newer than the number by now; then the next reading finds another number and builds again.
            const doc = await definition.build(this.#source(), name, kept?.doc);
            const fresh: Built = { revision, doc, at: new Date() };
            this.#built.set(key, fresh);
            return fresh;
          });
    const { doc, at } = built;
    if (doc === undefined) return undefined;
    return { revision: `${id}.${revision}`, modifiedAt: at, partial: false, read: async () => doc };
  }

  #source() {
    const { database } = this.#deps;
    const { id } = this.#row;
    return {
      async *versions(packageName: string): AsyncIterable<PackageVersion> {
        for (let after: number | undefined; ; ) {
          const page = await database.read((db) =>
            listVersions(db, id, packageName, { limit: PAGE, ...(after !== undefined && { after }) }),
          );
          yield* page;
          if (page.length < PAGE) return;
          after = page.at(-1)?.sequence;
        }
      },
      async *packages(): AsyncIterable<string> {
        for (let after: string | undefined; ; ) {
          const page = await database.read((db) =>
            listPackages(db, id, { limit: PAGE, ...(after !== undefined && { after }) }),
          );
          yield* page;
          if (page.length < PAGE) return;
          after = page.at(-1);
        }
      },
    };
  }
}
