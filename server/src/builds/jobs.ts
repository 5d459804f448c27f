/** What happens to builds in the background, with the rights of whoever asked for it. */
import { z } from 'zod';
import type { Principals } from '../auth/principals.ts';
import { ACTIONS, type Principal, type TokenScope } from '../core/principal.ts';
import type { Database } from '../db/database.ts';
import type { JobContext, JobDefinition } from '../jobs/job.ts';
import type { Queue } from '../jobs/queue.ts';
import { type BuildDeps, findBuildName, requireBuildRepository } from './builds.ts';
import { parseRetention } from './document.ts';
import { discardRuns } from './removal.ts';
import { renameBuild } from './rename.ts';

export interface BuildJobDeps extends BuildDeps {
  readonly principals: Principals;
}

const actor = z.object({
  id: z.string(),
  scope: z
    .array(z.object({ actions: z.array(z.enum(ACTIONS)), repos: z.array(z.string()), paths: z.array(z.string()) }))
    .optional(),
});
const where = { actor, buildRepo: z.string(), name: z.string() };
const renaming = z.object({ ...where, to: z.string() });
const discarding = z.object({ ...where, rules: z.unknown() });

export type RenameOrder = z.infer<typeof renaming>;
export type DiscardOrder = z.infer<typeof discarding>;

/** Whom a job acts for: the account as it is when the job runs, never with more than the token of the request gave. */
export function actorOf(principal: Principal): RenameOrder['actor'] {
  if (principal.kind === 'anonymous') throw new Error('nobody asks for a job');
  const { id, scope } = principal;
  return {
    id,
    ...(scope && {
      scope: scope.map((part) => ({
        ...part,
        actions: [...part.actions],
        repos: [...part.repos],
        paths: [...part.paths],
      })),
    }),
  };
}

export function buildJobs(deps: BuildJobDeps) {
  const rename: JobDefinition<RenameOrder> = {
    name: 'builds.rename',
    payload: renaming,
    maxAttempts: 5,
    leaseMs: 5 * 60_000,
    async run(order, context) {
      const principal = await principalOf(deps, order.actor);
      if (!principal) return;
      const repo = requireBuildRepository(deps, order, principal);
      await renameBuild(deps, { repo, principal, proceed: proceedOf(context) }, order.name, order.to);
    },
  };
  const discard: JobDefinition<DiscardOrder> = {
    name: 'builds.discard',
    payload: discarding,
    maxAttempts: 5,
    leaseMs: 10 * 60_000,
    async run(order, context) {
      const principal = await principalOf(deps, order.actor);
      if (!principal) return;
      context.signal.throwIfAborted();
      const repo = requireBuildRepository(deps, order, principal);
      const name = await findBuildName(deps, repo, order.name);
      if (name === undefined) return;
      await discardRuns(deps, { repo, principal, withArtifacts: false }, name, parseRetention(order.rules));
    },
  };
  return { rename, discard };
}

/** Has jobs done in the background. */
export function ordersOf(
  { database, queue }: { readonly database: Database; readonly queue: Queue },
  jobs: ReturnType<typeof buildJobs>,
) {
  return {
    rename: (order: RenameOrder) => database.transaction((tx) => queue.enqueue(tx, jobs.rename, order)),
    discard: (order: DiscardOrder) => database.transaction((tx) => queue.enqueue(tx, jobs.discard, order)),
  };
}

function proceedOf(context: JobContext): () => Promise<void> {
  return async () => {
    context.signal.throwIfAborted();
    await context.heartbeat();
  };
}

async function principalOf(
  { principals }: BuildJobDeps,
  { id, scope }: RenameOrder['actor'],
): Promise<Principal | undefined> {
  const account = await principals.getAccount(id);
  return account && { ...account.principal, ...(scope && { scope: scope as TokenScope }) };
}
