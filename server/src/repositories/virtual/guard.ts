/**
 * The guard against name shadowing: a package that a local repository has is not asked of the remote ones beside it,
 * so that nobody outside can put a release of the same name in its place.
 */
import type { Format } from '../../core/format.ts';
import { clip } from '../../core/ids.ts';
import type { Database, Db } from '../../db/database.ts';
import { holdsPackage } from '../../db/local-names.ts';
import { traceStep } from '../../lib/trace.ts';
import type { Guard, Member } from './plan.ts';

/** Keeps what was asked of an upstream although a local repository has it. */
export interface ShadowingNotes {
  note(asked: ShadowedName): Promise<void>;
}

export interface ShadowedName {
  readonly virtualId: number;
  readonly remoteId: number;
  readonly name: string;
  /** Why it was asked all the same. */
  readonly reason: 'warn' | 'exception';
}

export interface GuardDeps {
  readonly database: Database;
  readonly notes: ShadowingNotes;
}

/** What the guards of a remote member say about a name. */
export interface Verdict {
  /** The virtual repository whose guard forbids it. */
  readonly refusedBy: Guard | undefined;
  /** Guards under which the name is local, but that let it pass. */
  readonly passed: readonly { readonly guard: Guard; readonly reason: ShadowedName['reason'] }[];
}

const FREE: Verdict = { refusedBy: undefined, passed: [] };

/** The guards as one request meets them: what a name is, is looked up once. */
export class GuardedNames {
  readonly #deps: GuardDeps;
  readonly #format: Format | undefined;
  readonly #known = new Map<Guard, Map<string, Promise<boolean>>>();

  constructor(deps: GuardDeps, format: Format | undefined) {
    this.#deps = deps;
    this.#format = format;
  }

  async judge(member: Member, name: string | undefined): Promise<Verdict> {
    if (name === undefined || member.guards.length === 0) return FREE;
    // The upstream may take another spelling for the same package: neither may stand for a local one.
    const spellings = new Set([name, member.leaf.nameOf?.(name) ?? name]);
    const passed: { guard: Guard; reason: ShadowedName['reason'] }[] = [];
    for (const guard of member.guards) {
      if (!(await this.#isLocal(guard, spellings))) continue;
      const excepted = guard.exceptions.some((pattern) => [...spellings].some((each) => pattern.matches(each)));
      if (guard.mode === 'enforce' && !excepted) return { refusedBy: guard, passed: [] };
      passed.push({ guard, reason: excepted ? 'exception' : 'warn' });
    }
    return passed.length === 0 ? FREE : { refusedBy: undefined, passed };
  }

  /** Whether the member may be asked for the name, or its cache be served for it. */
  async allows(member: Member, name: string | undefined): Promise<boolean> {
    const { refusedBy } = await this.judge(member, name);
    if (refusedBy) traceStep(refusalText(refusedBy, member, name ?? ''), 'caller');
    return refusedBy === undefined;
  }

  /** Has remembered that the member's upstream is asked for a name that is local. */
  async noteAsked(member: Member, name: string | undefined): Promise<void> {
    const { passed } = await this.judge(member, name);
    for (const { guard, reason } of passed) {
      await this.#deps.notes.note({
        virtualId: guard.virtualId,
        remoteId: member.leaf.id,
        name: name ?? '',
        reason,
      });
    }
  }

  async #isLocal(guard: Guard, spellings: ReadonlySet<string>): Promise<boolean> {
    for (const name of spellings) if (await this.#isLocalName(guard, name)) return true;
    return false;
  }

  #isLocalName(guard: Guard, name: string): Promise<boolean> {
    const territory = this.#format?.territory?.(name) ?? name;
    const ofGuard = this.#known.get(guard) ?? new Map<string, Promise<boolean>>();
    this.#known.set(guard, ofGuard);
    let known = ofGuard.get(territory);
    if (known === undefined) {
      const look = (db: Db) => holdsPackage(db, guard.locals, territory, territory === name ? 'exact' : 'prefix');
      known = this.#deps.database.read(look);
      ofGuard.set(territory, known);
    }
    return known;
  }
}

/** Names no local repository: the caller may not know of it. */
export function refusalText(guard: Guard, member: Pick<Member, 'key'>, name: string): string {
  return `The guard against name shadowing of "${guard.virtual}" keeps "${member.key}" from answering for "${clip(name, 300)}", because a local repository has a package of that name. An administrator can allow it by the setting "localNameShadowingExceptions".`;
}
