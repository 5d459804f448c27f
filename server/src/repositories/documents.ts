/** Documents of a repository as its rows make them, kept until a version changes. */
import { setImmediate as turn } from 'node:timers/promises';
import type { DocumentKind, HeldDocument, OpaqueDoc, RepositoryMarks, VersionChanges } from '../core/document.ts';
import { AppError } from '../core/errors.ts';
import type { Format } from '../core/format.ts';
import type { PackageVersion } from '../core/repository.ts';
import type { Database } from '../db/database.ts';
import {
  getPackageRevision,
  listChangedPackages,
  listPackageRevisions,
  listRepositoryMarks,
} from '../db/package-revisions.ts';
import {
  countVersions,
  listAllVersions,
  listPackages,
  listVersionNames,
  listVersions,
  listVersionsSince,
} from '../db/package-versions.ts';
import type { RepositoryRow } from '../db/repositories.ts';
import { Lru } from '../lib/lru.ts';
import { singleflight } from '../lib/singleflight.ts';

export interface DocumentDeps {
  readonly database: Database;
  readonly formats: readonly Format[];
}

const KEPT = 64;
const KEPT_STATES = 20_000;
const PAGE = 200;
/** Rows of versions may hold whole readmes. */
const VERSIONS_PAGE = 50;
const NAMES_PAGE = 1000;

/** What is remembered of a document much longer than the document: rendered, it is kept elsewhere. */
interface State {
  readonly revision: number;
  readonly exists: boolean;
  readonly at: Date;
}

interface Built extends State {
  readonly doc: OpaqueDoc | undefined;
}

export class LocalDocuments {
  readonly #deps: DocumentDeps;
  readonly #row: RepositoryRow;
  readonly #built = new Lru<string, Built>({ maxEntries: KEPT });
  readonly #states = new Lru<string, State>({ maxEntries: KEPT_STATES });
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
    const prefix = definition.prefix?.(name);
    const key = `${kind}\n${name}`;
    const revision = await database.read((db) => getPackageRevision(db, id, packageName, prefix));
    if (revision === 0 && packageName !== undefined) return undefined;
    const build = () => this.#build(definition, name, { key, revision });
    const known = this.#states.get(key);
    const state = known?.revision === revision ? known : await build();
    if (!state.exists) return undefined;
    return {
      revision: `${id}.${revision}`,
      modifiedAt: state.at,
      partial: false,
      read: async () => {
        const { doc } = await build();
        if (doc === undefined) throw new AppError('not_found', 'This was removed a moment ago.');
        return doc;
      },
    };
  }

  /** What was built of this revision, or is built of it now. */
  async #build(definition: DocumentKind<OpaqueDoc>, name: string, at: { key: string; revision: number }) {
    const { key, revision } = at;
    const kept = this.#built.get(key);
    if (kept?.revision === revision) return kept;
    return this.#building(`${key}\n${revision}`, async () => {
      // Rows may be newer than the number by now; then the next reading finds another number and builds again.
      const doc = await definition.build(this.#source(), name, this.#built.get(key)?.doc);
      const fresh: Built = { revision, exists: doc !== undefined, doc, at: new Date() };
      this.#built.set(key, fresh);
      this.#states.set(key, { revision, exists: fresh.exists, at: fresh.at });
      return fresh;
    });
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
      changes(packageName: string, since: number): VersionChanges {
        return {
          written: (async function* () {
            for (let after = since; ; ) {
              const from = after;
              const page = await database.read((db) =>
                listVersionsSince(db, id, packageName, { after: from, limit: VERSIONS_PAGE }),
              );
              yield* page;
              if (page.length < VERSIONS_PAGE) return;
              after = page.at(-1)?.revision ?? after;
              await turn();
            }
          })(),
          async remaining(known) {
            if ((await database.read((db) => countVersions(db, id, packageName))) === known) return undefined;
            const names = new Set<string>();
            for (let after = ''; ; ) {
              const from = after;
              const page = await database.read((db) =>
                listVersionNames(db, id, packageName, { after: from, limit: NAMES_PAGE }),
              );
              for (const { version } of page) names.add(version);
              if (page.length < NAMES_PAGE) return names;
              after = page.at(-1)?.version ?? after;
              await turn();
            }
          },
        };
      },
      async *revisions(prefix: string): AsyncIterable<{ readonly name: string; readonly revision: number }> {
        for (let after: string | undefined; ; ) {
          const page = await database.read((db) =>
            listPackageRevisions(db, id, prefix, { limit: PAGE, ...(after !== undefined && { after }) }),
          );
          yield* page;
          if (page.length < PAGE) return;
          after = page.at(-1)?.name;
        }
      },
      async *all(): AsyncIterable<PackageVersion> {
        for (let after: PackageVersion | undefined; ; ) {
          const from = after;
          const page = await database.read((db) =>
            listAllVersions(db, id, { limit: PAGE, ...(from !== undefined && { after: from }) }),
          );
          yield* page;
          if (page.length < PAGE) return;
          after = page.at(-1);
          await turn();
        }
      },
      marks: () => database.read((db) => listRepositoryMarks(db, id)),
      async *changedPackages(since: RepositoryMarks): AsyncIterable<string> {
        for (const [slot, revision] of await database.read((db) => listRepositoryMarks(db, id))) {
          for (let after = since.get(slot) ?? 0; after < revision; ) {
            const from = after;
            const page = await database.read((db) =>
              listChangedPackages(db, id, slot, { since: from, limit: NAMES_PAGE }),
            );
            for (const { name } of page) yield name;
            if (page.length < NAMES_PAGE) break;
            after = page.at(-1)?.changed ?? revision;
            await turn();
          }
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
