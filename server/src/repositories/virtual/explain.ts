/** Tells, without asking any upstream, which members of a repository would be asked for something, and why not. */
import { isAppError } from '../../core/errors.ts';
import type { RepoKey, RepoPath } from '../../core/ids.ts';
import type { Arriving, Asset, Wanted } from '../../core/repository.ts';
import type { BoundMember, BoundMembers } from './bound.ts';
import { type GuardedNames, refusalText } from './guard.ts';
import type { Member, Plan, Tier } from './plan.ts';
import type { Resolver } from './resolve.ts';

/** In which of its turns a member is asked: for what it has of its own, what it holds of an upstream, or the upstream. */
export type Stage = 'local' | 'cache' | 'remote';

export type Decision = 'answers' | 'would be asked' | 'has it not' | 'skipped' | 'not reached';

export interface Step {
  readonly repository: RepoKey;
  readonly stage: Stage;
  readonly priority: boolean;
  readonly decision: Decision;
  readonly reasons: readonly string[];
}

/** The members of the plan in the order in which they are asked, remote ones once for each of their turns. */
export function effectiveOrder(plan: Plan): readonly { readonly member: Member; readonly stage: Stage }[] {
  return plan.tiers.flatMap(({ locals, remotes }) => [
    ...locals.map((member) => ({ member, stage: 'local' as const })),
    ...remotes.map((member) => ({ member, stage: 'cache' as const })),
    ...remotes.map((member) => ({ member, stage: 'remote' as const })),
  ]);
}

export interface ExplainingDeps {
  readonly plan: Plan;
  readonly members: BoundMembers;
  readonly names: GuardedNames;
  readonly resolver: Resolver;
  readonly asks: boolean;
  /** Whether members that the caller may not know of are told of too: for administrators. */
  readonly full: boolean;
}

/** One step per member and turn. */
export async function explainResolution(deps: ExplainingDeps, wanted: Wanted): Promise<readonly Step[]> {
  const steps: Step[] = [];
  const { plan, resolver, full } = deps;
  const name = resolver.packageOf(wanted);
  let over: string | undefined;
  for (const tier of plan.tiers) {
    for (const [stage, members] of turnsOf(tier)) {
      for (const member of members) {
        const bound = deps.members.get(member);
        if (!bound && !full) continue;
        const judged = over ? notReached(over) : await judge(deps, { member, bound, stage, wanted, name });
        steps.push({ repository: member.key, stage, priority: member.priority, ...judged });
        if (judged.decision === 'answers') over = `"${member.key}" answers before it.`;
      }
    }
    if (!over && (await resolver.endsWith(tier, name))) {
      over = `A member with priority has the package "${name}", so only those are asked for it.`;
    }
  }
  if (full) {
    for (const key of plan.passedOver) {
      const reasons = ['It is blacked out.'];
      steps.push({ repository: key, stage: 'local', priority: false, decision: 'skipped', reasons });
    }
  }
  return steps;
}

function turnsOf({ locals, remotes }: Tier): readonly (readonly [Stage, readonly Member[]])[] {
  return [
    ['local', locals],
    ['cache', remotes],
    ['remote', remotes],
  ];
}

interface Turn {
  readonly member: Member;
  readonly bound: BoundMember | undefined;
  readonly stage: Stage;
  readonly wanted: Wanted;
  readonly name: string | undefined;
}

type Judged = Pick<Step, 'decision' | 'reasons'>;

function notReached(reason: string): Judged {
  return { decision: 'not reached', reasons: [reason] };
}

async function judge(deps: ExplainingDeps, { member, bound, stage, wanted, name }: Turn): Promise<Judged> {
  const skipped = (...reasons: string[]): Judged => ({ decision: 'skipped', reasons });
  if (!bound) return skipped('The caller may neither read nor deploy anything in it.');
  const refusal = refusalOf(bound, wanted);
  if (refusal !== undefined) return skipped(refusal);
  const { refusedBy, passed } = await deps.names.judge(member, name);
  if (refusedBy) return skipped(refusalText(refusedBy, member, name ?? ''));
  if (stage !== 'remote') return heldBy(bound, wanted);
  if (!deps.asks) return skipped(`"${deps.plan.key}" asks no upstream for requests of other servers.`);
  const passes = passed.map(
    ({ guard, reason }) =>
      `A local repository has the package too; "${guard.virtual}" ${reason === 'warn' ? 'only notes that it is asked' : 'allows it by name'}.`,
  );
  return { decision: 'would be asked', reasons: [...passes, ...((await member.leaf.outlook?.(wanted)) ?? [])] };
}

/** Why the caller may not have it of this member, or its settings do not let it through. */
function refusalOf({ access }: BoundMember, wanted: Wanted): string | undefined {
  const path = 'path' in wanted ? wanted.path : (wanted.package as RepoPath);
  if ('path' in wanted ? access.allows('read', path) : access.mayList(path)) return undefined;
  try {
    access.require('read', path);
    return 'Its settings or the rights of the caller leave nothing of it.';
  } catch (error) {
    if (isAppError(error)) return error.message;
    throw error;
  }
}

async function heldBy({ repo }: BoundMember, wanted: Wanted): Promise<Judged> {
  let found: Asset | Arriving | undefined;
  try {
    found = await repo.serve(wanted, 'held');
  } catch (error) {
    if (!isAppError(error)) throw error;
    return { decision: 'skipped', reasons: [error.message] };
  }
  if (!found) return { decision: 'has it not', reasons: [] };
  return { decision: 'answers', reasons: [`It has it at "${found.path}".`] };
}
