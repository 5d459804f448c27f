/**
 * Documents about a whole repository, such as indexes of all its packages: what a remote member's document says of
 * packages that are local is left out of it, as the package itself is not served from there.
 */
import type { DocumentKind, HeldDocument, OpaqueDoc } from '../../core/document.ts';
import type { Format } from '../../core/format.ts';
import type { RepoPath } from '../../core/ids.ts';
import type { Database } from '../../db/database.ts';
import { Lru } from '../../lib/lru.ts';
import { Spell } from '../../lib/spell.ts';
import { LocalPackageNames } from './local-package-names.ts';
import type { Guard, Member } from './plan.ts';

/** Names of one guard's local packages, as far as they stand for themselves or their owner. */
interface LocalNames {
  readonly revision: string;
  readonly territories: ReadonlySet<string>;
}

/** What is remembered of it, for all callers: it is the same for everybody. */
export class ShadowedDocuments {
  readonly #local: LocalPackageNames;
  readonly #names = new Lru<string, LocalNames>({ maxEntries: 32 });
  readonly #cut = new Lru<string, Promise<OpaqueDoc | undefined>>({ maxEntries: 32 });

  constructor(database: Database) {
    this.#local = new LocalPackageNames(database);
  }

  /** The document without what the member's guards keep back; undefined when nothing is left. */
  async cut(
    member: Member,
    { format, definition, what }: { format: Format | undefined; definition: DocumentKind<OpaqueDoc>; what: string },
    held: HeldDocument,
  ): Promise<HeldDocument | undefined> {
    const guards = member.guards.filter(({ mode }) => mode === 'enforce');
    const packageOf = format?.packageOf;
    if (guards.length === 0 || !packageOf) return held;
    const known: { guard: Guard; names: LocalNames }[] = [];
    for (const guard of guards) known.push({ guard, names: await this.#namesOf(guard, format) });
    if (known.every(({ names }) => names.territories.size === 0)) return held;
    const accepts = (path: RepoPath) => {
      const name = packageOf(path);
      if (name === undefined) return true;
      const territory = format.territory?.(name) ?? name;
      return !known.some(
        ({ guard, names }) =>
          names.territories.has(territory) && !guard.exceptions.some((pattern) => pattern.matches(name)),
      );
    };
    const cutBy = known.map(({ guard, names }) => `${guard.virtual} ${names.revision}`).join('\n');
    const revision = held.revision === undefined ? undefined : `${held.revision}\n${cutBy}`;
    const make = async () => definition.filter(await held.read(), accepts);
    const doc = await (revision === undefined ? make() : this.#kept(`${member.key}\n${what}\n${revision}`, make));
    return doc && { revision, modifiedAt: held.modifiedAt, partial: held.partial, read: async () => doc };
  }

  #kept(key: string, make: () => Promise<OpaqueDoc | undefined>): Promise<OpaqueDoc | undefined> {
    const kept = this.#cut.get(key);
    if (kept !== undefined) return kept;
    const made = make();
    this.#cut.set(key, made);
    made.catch(() => this.#cut.delete(key));
    return made;
  }

  async #namesOf(guard: Guard, format: Format): Promise<LocalNames> {
    const held = await Promise.all(guard.locals.map((id) => this.#local.of(id)));
    const revision = held.map(({ state }) => state).join(',');
    const key = `${guard.virtual}\n${format.packageTypes[0]}`;
    const kept = this.#names.get(key);
    if (kept?.revision === revision) return kept;
    const spell = new Spell();
    const territories = new Set<string>();
    for (const { names } of held) {
      for (const name of names) {
        territories.add(format.territory?.(name) ?? name);
        if (spell.isOver) await spell.rest();
      }
    }
    const fresh: LocalNames = { revision, territories };
    this.#names.set(key, fresh);
    return fresh;
  }
}
