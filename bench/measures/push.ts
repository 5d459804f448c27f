import { type Context, withServers } from '../context.ts';
import type { PushFlow } from '../load/session.ts';
import { alternate, buildRow, measureJob, renderClients } from '../rounds.ts';
import type { Target } from '../targets/target.ts';

const flows: readonly PushFlow[] = ['classic', 'single'];
// Keeps what one round leaves on the disk bounded.
const roundLimitBytes = 3e9;
const quickSingleMegabytes = 10;

export const imageSizes = [
  { megabytes: 1, pushBar: 1 },
  { megabytes: 10, pushBar: 1.2 },
  { megabytes: 100, pushBar: 1.2 },
] as const;

/** Large images take seconds each, so fewer rounds are enough and more would fill the disk. */
export function roundsFor(ctx: Context, megabytes: number): number {
  return megabytes >= 100 ? Math.min(ctx.options.rounds, 3) : ctx.options.rounds;
}

/** Images pushed per second, by docker's flow (chunked PATCH) and containerd's (one PUT). */
export async function measurePush(ctx: Context): Promise<void> {
  for (const flow of flows) {
    for (const size of imageSizes) {
      if (ctx.options.isQuick && flow === 'single' && size.megabytes !== quickSingleMegabytes) continue;
      await withServers(ctx, async () => {
        for (const clients of [1, 10]) {
          await measureCell(ctx, { flow, clients, ...size });
        }
      });
    }
  }
}

type Cell = {
  readonly flow: PushFlow;
  readonly megabytes: number;
  readonly clients: number;
  readonly pushBar: number;
};

async function measureCell(ctx: Context, cell: Cell): Promise<void> {
  const sizeBytes = cell.megabytes * 1_000_000;
  const jobFor = (target: Target) => ({
    endpoint: target.endpoint,
    scenario: { kind: 'push' as const, sizeBytes, flow: cell.flow },
    clients: cell.clients,
    durationMs: ctx.options.roundMs,
    operationsPerClient: Math.ceil(roundLimitBytes / sizeBytes / cell.clients),
  });
  for (const target of [ctx.subject, ctx.baseline]) {
    // A few hundred megabytes warm a server as well as gigabytes do.
    const clients = cell.megabytes >= 100 ? 1 : cell.clients;
    await measureJob(ctx, target, { ...jobFor(target), clients, durationMs: ctx.options.roundMs / 2 });
  }
  const samples = await alternate(ctx, { count: roundsFor(ctx, cell.megabytes), jobFor });
  ctx.report.add(
    buildRow(samples, {
      measure: 'push',
      label: `${cell.megabytes} MB, ${renderClients(cell.clients)}, ${cell.flow === 'classic' ? 'PATCH' : 'one PUT'}`,
      unit: 'images/s',
      figure: 'operationsPerSecond',
      cpuPer: 'gigabyte',
      atLeast: cell.pushBar,
    }),
  );
}
