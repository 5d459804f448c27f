/** The members of a virtual repository as one caller meets them, and what their failures mean to it. */
import { AppError, isAppError, UNREACHED } from '../../core/errors.ts';
import { clip, joinPath, type RepoKey, type RepoPath } from '../../core/ids.ts';
import type { Action } from '../../core/principal.ts';
import type { Repository } from '../../core/repository.ts';
import { UpstreamFailure } from '../../core/upstream.ts';
import { traceStep } from '../../lib/trace.ts';
import type { Access } from '../leaf.ts';
import type { Member, Plan } from './plan.ts';

/** A member bound to the caller, who may know of it. */
export interface BoundMember {
  readonly member: Member;
  readonly access: Access;
  readonly repo: Repository;
}

/** Binds a member; undefined where the caller may not know of it. */
export type BindMember = (member: Member) => BoundMember | undefined;

export class BoundMembers {
  readonly #plan: Plan;
  readonly #bind: BindMember;
  readonly #bound = new Map<Member, BoundMember | undefined>();

  constructor(plan: Plan, bind: BindMember) {
    this.#plan = plan;
    this.#bind = bind;
  }

  get(member: Member): BoundMember | undefined {
    if (this.#bound.has(member)) return this.#bound.get(member);
    const bound = this.#bind(member);
    this.#bound.set(member, bound);
    return bound;
  }

  /** Those of these members that the caller may know of, in their order. */
  of(members: readonly Member[]): BoundMember[] {
    return members.flatMap((member) => this.get(member) ?? []);
  }

  /** Whether a member lets the caller do it. */
  allow(action: Action, path: RepoPath): boolean {
    return this.#plan.members.some((member) => this.get(member)?.access.allows(action, path));
  }

  /** Whether a member has a folder that the caller may look into. */
  mayList(folder: RepoPath): boolean {
    return this.#plan.members.some((member) => this.get(member)?.access.mayList(folder));
  }

  /**
   * Throws what the caller may be told when no member lets it read there; returns when one does, or when what may not be
   * read is to look as if it were not there.
   */
  requireSome(path: RepoPath, mayRead: (access: Access) => boolean): void {
    let refusal: AppError | undefined;
    for (const { access } of this.of(this.#plan.members)) {
      if (mayRead(access)) return;
      try {
        access.require('read', path);
      } catch (error) {
        if (!isAppError(error)) throw error;
        if (error.code !== 'not_found') refusal ??= error;
      }
    }
    if (!refusal || this.#plan.hidesUnauthorized) return;
    throw refusal.code === 'forbidden' ? inOwnWords(this.#plan.key, path, refusal) : refusal;
  }
}

/** The refusal of a member says which it is; the caller asked for the virtual repository. */
function inOwnWords(key: RepoKey, path: RepoPath, refusal: AppError): AppError {
  const where = clip(joinPath(key, path), 300);
  return new AppError('forbidden', `You may not read "${where}". Ask an administrator for the right to read.`, {
    ...refusal.detail,
  });
}

const REFUSALS = new Set(['unauthenticated', 'forbidden', 'not_found']);
const TROUBLES = new Set(['upstream_failed', 'unavailable', 'rate_limited', 'timeout']);

/**
 * What a remote member gives, or nothing where it refuses or is in trouble: that must not hide what another has. The
 * first trouble is kept, so that nobody takes "not reached" for "not there".
 */
export class Attempts {
  #trouble: UpstreamFailure | AppError | undefined;

  async remote<T>({ member }: BoundMember, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (isAppError(error) && REFUSALS.has(error.code)) {
        traceStep(`"${member.key}" did not give it: ${error.message}`, 'caller');
        return undefined;
      }
      if (!isTrouble(error)) throw error;
      traceStep(`"${member.key}" could not answer: ${error.message}`, 'caller');
      // Where nothing else may answer in its place, its failure is the answer.
      if (member.hardFail || member.priority) throw asAppError(error);
      this.#trouble ??= error;
      return undefined;
    }
  }

  get inTrouble(): boolean {
    return this.#trouble !== undefined;
  }

  /** Throws when a member that might have had it could not be asked. */
  finish(): void {
    if (this.#trouble === undefined) return;
    const { code, message, detail } = asAppError(this.#trouble);
    throw new AppError(code, message, { ...detail, [UNREACHED]: true }, { cause: this.#trouble });
  }
}

/** Local members and caches: what they refuse the caller is not there for it; any other failure is one. */
export async function unlessRefused<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isAppError(error) && REFUSALS.has(error.code)) return undefined;
    throw error;
  }
}

function isTrouble(error: unknown): error is UpstreamFailure | AppError {
  return error instanceof UpstreamFailure || (isAppError(error) && TROUBLES.has(error.code));
}

function asAppError(error: UpstreamFailure | AppError): AppError {
  if (!(error instanceof UpstreamFailure)) return error;
  const code = error.trouble === 'unreachable' || error.trouble === 'broken' ? 'upstream_failed' : 'unavailable';
  return new AppError(code, `An upstream could not be asked: ${error.message}`, {}, { cause: error });
}
