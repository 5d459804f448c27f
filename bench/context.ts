import type { LoadPool } from './load/pool.ts';
import type { Options } from './options.ts';
import type { Report } from './report.ts';
import type { Kind, Target } from './targets/target.ts';

/** What every measure is given. */
export type Context = {
  readonly options: Options;
  readonly pool: LoadPool;
  readonly subject: Target;
  readonly baseline: Target;
  readonly report: Report;
  /** A further server of the subject's kind that stores beside it, with settings of its own; removed with the others at the end. */
  readonly createSubject: (name: string, env?: NodeJS.ProcessEnv) => Target;
  /** A server of any kind that stores beside them; ended at the end, if its measure did not do so. */
  readonly createTarget: (name: string, kind: Kind) => Target;
};

/** Starts both servers with nothing stored, runs the function and stops them. */
export async function withServers(ctx: Context, run: () => Promise<void>): Promise<void> {
  try {
    await ctx.subject.reset();
    await ctx.baseline.reset();
    await run();
  } finally {
    await ctx.subject.remove();
    await ctx.baseline.remove();
  }
}
