import { type Context, withServers } from '../context.ts';
import type { ImageRef } from '../load/image.ts';
import { alternate, buildRow, measureJob, renderClients } from '../rounds.ts';
import type { Target } from '../targets/target.ts';
import { imageSizes, roundsFor } from './push.ts';

const repository = 'bench/pull';
const imagesPerSize = 4;
const pullBar = 1.1;
const noLimit = 1_000_000;

/** Images pulled per second: the tag resolved, manifest, configuration and layer. */
export async function measurePull(ctx: Context): Promise<void> {
  await withServers(ctx, async () => {
    for (const { megabytes } of imageSizes) {
      const images = new Map<Target, readonly ImageRef[]>();
      for (const target of [ctx.subject, ctx.baseline]) {
        images.set(target, await pushImages(ctx, target, { repository, count: imagesPerSize, megabytes }));
      }
      for (const clients of [1, 10]) {
        const jobFor = (target: Target) => ({
          endpoint: target.endpoint,
          scenario: { kind: 'pull' as const, images: images.get(target) ?? [] },
          clients,
          repository,
          durationMs: ctx.options.roundMs,
          operationsPerClient: noLimit,
        });
        for (const target of [ctx.subject, ctx.baseline]) {
          await measureJob(ctx, target, { ...jobFor(target), durationMs: ctx.options.roundMs / 2 });
        }
        const samples = await alternate(ctx, { count: roundsFor(ctx, megabytes), jobFor });
        ctx.report.add(
          buildRow(samples, {
            measure: 'pull',
            label: `${megabytes} MB, ${renderClients(clients)}`,
            unit: 'images/s',
            figure: 'operationsPerSecond',
            cpuPer: 'gigabyte',
            atLeast: pullBar,
          }),
        );
      }
    }
  });
}

type Wanted = { readonly repository: string; readonly count: number; readonly megabytes: number };

/** Pushes images to be read by a later job. */
export async function pushImages(ctx: Context, target: Target, wanted: Wanted): Promise<readonly ImageRef[]> {
  const [result] = await ctx.pool.run([
    {
      endpoint: target.endpoint,
      scenario: { kind: 'push', sizeBytes: wanted.megabytes * 1_000_000, flow: 'classic' },
      clients: 1,
      repository: wanted.repository,
      durationMs: 120_000,
      operationsPerClient: wanted.count,
    },
  ]);
  if (result?.images.length !== wanted.count) {
    throw new Error(`${target.name} took ${result?.images.length} of ${wanted.count} images: ${result?.errors[0]}`);
  }
  return result.images;
}
