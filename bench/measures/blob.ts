import { type Context, withServers } from '../context.ts';
import type { Job } from '../load/protocol.ts';
import { alternate, buildRow, renderClients, type Samples } from '../rounds.ts';
import type { Target } from '../targets/target.ts';

const repository = 'bench/blob';
const gibibyte = 2 ** 30;
const clientCounts = [1, 4];
const readsPerClient = 4;

/** Gigabytes per second of large single blobs, read and written. */
export async function measureBlob(ctx: Context): Promise<void> {
  const sizeBytes = ctx.options.isQuick ? gibibyte / 4 : gibibyte;
  const rounds = Math.min(ctx.options.rounds, 3);
  for (const clients of clientCounts) {
    await withServers(ctx, async () => {
      const samples = await alternate(ctx, {
        count: clients > 1 ? Math.min(rounds, 2) : rounds,
        jobFor: (target) => putJob(target, { clients, sizeBytes }),
        // Each round starts empty, so that the disk never holds more than one round of either server.
        before: async (target) => {
          await target.reset();
          await ctx.pool.run([putJob(target, { clients: 1, sizeBytes: gibibyte / 16 })]);
        },
      });
      addRow(ctx, samples, { label: `PUT ${renderSize(sizeBytes)}, ${renderClients(clients)}`, sizeBytes });
    });
  }
  await withServers(ctx, async () => {
    const paths = new Map<Target, string>();
    for (const target of [ctx.subject, ctx.baseline]) {
      paths.set(target, await putBlob(ctx, target, sizeBytes));
    }
    for (const clients of clientCounts) {
      const jobFor = (target: Target): Job => ({
        endpoint: target.endpoint,
        scenario: { kind: 'request', method: 'GET', paths: [paths.get(target) ?? ''] },
        clients,
        repository,
        durationMs: ctx.options.roundMs,
        operationsPerClient: readsPerClient,
      });
      const samples = await alternate(ctx, { count: rounds, jobFor });
      addRow(ctx, samples, { label: `GET ${renderSize(sizeBytes)}, ${renderClients(clients)}`, sizeBytes });
    }
  });
}

/** Puts one blob and gives the path it is read from. */
export async function putBlob(ctx: Context, target: Target, sizeBytes: number): Promise<string> {
  const [result] = await ctx.pool.run([putJob(target, { clients: 1, sizeBytes })]);
  const digest = result?.digests[0];
  if (digest === undefined) throw new Error(`${target.name} did not take the blob: ${result?.errors[0]}`);
  return `/v2/${target.endpoint.namePrefix}${repository}/blobs/${digest}`;
}

export function putJob(target: Target, size: { readonly clients: number; readonly sizeBytes: number }): Job {
  return {
    endpoint: target.endpoint,
    scenario: { kind: 'put-blob', sizeBytes: size.sizeBytes, flow: 'single' },
    clients: size.clients,
    repository,
    durationMs: 600_000,
    operationsPerClient: 1,
  };
}

function addRow(ctx: Context, samples: Samples, cell: { readonly label: string; readonly sizeBytes: number }): void {
  const whole = [...samples.subject, ...samples.baseline].every(
    (sample) => sample.result.bytes === sample.operations * cell.sizeBytes,
  );
  const row = buildRow(samples, {
    measure: 'blob',
    label: cell.label,
    unit: 'GB/s',
    figure: 'gbPerSecond',
    cpuPer: 'gigabyte',
  });
  ctx.report.add(whole ? row : { ...row, errors: [...row.errors, 'a blob came short'] });
}

function renderSize(sizeBytes: number): string {
  return sizeBytes >= gibibyte ? `${sizeBytes / gibibyte} GiB` : `${sizeBytes / 2 ** 20} MiB`;
}
