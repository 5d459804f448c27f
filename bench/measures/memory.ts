import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, withServers } from '../context.ts';
import { readFreeGb } from '../disk.ts';
import { readMemory } from '../proc.ts';
import type { Series } from '../report.ts';
import { slopeOf } from '../stats.ts';
import type { Target } from '../targets/target.ts';
import { putBlob, putJob } from './blob.ts';

const transfersEachWay = 16;
const mebibyte = 2 ** 20;
const idleMs = 3_000;
const sampleMs = 250;
const idleBarMb = 150;
const busyBarMb = 300;
// What the resident size may grow over the transfers, once they have settled, and still count as flat.
const flatGrowthMb = 30;
const settlingPart = 0.2;
const fullSizeFreeGb = 60;

/** Resident memory after start, and while many large blobs go in and out at once. */
export async function measureMemory(ctx: Context): Promise<void> {
  const { sizeBytes, note } = chooseSize(ctx);
  await withServers(ctx, async () => {
    const idle = new Map<Target, Idle>();
    const busy = new Map<Target, Busy>();
    for (const target of [ctx.subject, ctx.baseline]) {
      idle.set(target, await rest(target));
      busy.set(target, await transfer(ctx, target, sizeBytes));
      await target.remove();
    }
    addRows(ctx, { idle, busy, note });
  });
}

type Idle = { readonly rssMb: number; readonly firstPeakMb: number };

/** The first start makes accounts and keys, which is not what a server does from then on. */
async function rest(target: Target): Promise<Idle> {
  await target.reset();
  await sleep(idleMs);
  const firstPeakMb = readMemory(target.pid).peakMb;
  await target.stop();
  await target.start();
  await sleep(idleMs);
  return { rssMb: readMemory(target.pid).rssMb, firstPeakMb };
}

type Busy = {
  readonly series: Series;
  readonly peakMb: number;
  readonly slopePerMinute: number;
  readonly growthMb: number;
  readonly errors: readonly string[];
};

async function transfer(ctx: Context, target: Target, sizeBytes: number): Promise<Busy> {
  const path = await putBlob(ctx, target, sizeBytes);
  const up = putJob(target, { clients: transfersEachWay, sizeBytes });
  const down = { ...up, scenario: { kind: 'request' as const, method: 'GET' as const, paths: [path] } };
  const points: { seconds: number; rssMb: number }[] = [];
  let startedAt = 0;
  let timer: NodeJS.Timeout | undefined;
  const results = await ctx.pool.run([up, down], {
    before: () => {
      startedAt = performance.now();
      const sample = () =>
        points.push({ seconds: (performance.now() - startedAt) / 1000, rssMb: readMemory(target.pid).rssMb });
      timer = setInterval(sample, sampleMs);
    },
    after: () => clearInterval(timer),
  });
  const settled = points.slice(Math.floor(points.length * settlingPart));
  const slope = slopeOf(settled.map((point) => ({ x: point.seconds, y: point.rssMb })));
  return {
    series: { label: target.name, points },
    peakMb: readMemory(target.pid).peakMb,
    slopePerMinute: slope * 60,
    growthMb: slope * ((settled.at(-1)?.seconds ?? 0) - (settled[0]?.seconds ?? 0)),
    errors: results.flatMap((result) => result.errors),
  };
}

type Measured = {
  readonly idle: ReadonlyMap<Target, Idle>;
  readonly busy: ReadonlyMap<Target, Busy>;
  readonly note: string;
};

function addRows(ctx: Context, { idle, busy, note }: Measured): void {
  const [subject, baseline] = [busy.get(ctx.subject), busy.get(ctx.baseline)];
  if (subject === undefined || baseline === undefined) throw new Error('A server was not measured');
  const idleMb = idle.get(ctx.subject)?.rssMb ?? Number.NaN;
  const row = { measure: 'memory' as const, unit: 'MB', errors: [] };
  ctx.report.add({
    ...row,
    label: 'resident, idle after start',
    subject: single(idleMb),
    baseline: single(idle.get(ctx.baseline)?.rssMb ?? Number.NaN),
    note: `peak of the very first start ${idle.get(ctx.subject)?.firstPeakMb.toFixed(0)} MB`,
    verdict: { wanted: `< ${idleBarMb} MB`, isMet: idleMb < idleBarMb },
  });
  const isFlat = subject.growthMb < flatGrowthMb && subject.errors.length === 0;
  ctx.report.add({
    ...row,
    label: `peak, ${2 * transfersEachWay} transfers`,
    subject: single(subject.peakMb),
    baseline: single(baseline.peakMb),
    verdict: { wanted: `< ${busyBarMb} MB`, isMet: subject.peakMb < busyBarMb },
    note,
    errors: [...subject.errors, ...baseline.errors],
  });
  ctx.report.add({
    ...row,
    label: 'slope over the transfers',
    unit: 'MB/min',
    subject: single(subject.slopePerMinute),
    baseline: single(baseline.slopePerMinute),
    verdict: { wanted: `grows < ${flatGrowthMb} MB`, isMet: isFlat },
    note: `grew ${subject.growthMb.toFixed(1)} MB, the baseline ${baseline.growthMb.toFixed(1)} MB`,
  });
  ctx.report.series.push(subject.series, baseline.series);
}

function chooseSize(ctx: Context): { readonly sizeBytes: number; readonly note: string } {
  const freeGb = readFreeGb(ctx.options.parentDir);
  const hasRoom = freeGb >= fullSizeFreeGb;
  const megabytes = ctx.options.isQuick ? 64 : hasRoom ? 1024 : 256;
  const reason = ctx.options.isQuick ? ' (quick run)' : hasRoom ? '' : ` (only ${freeGb.toFixed(0)} GB are free)`;
  return { sizeBytes: megabytes * mebibyte, note: `${megabytes} MiB each${reason}` };
}

function single(value: number) {
  return { median: value, min: value, max: value };
}
