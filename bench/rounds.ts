import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from './context.ts';
import { flushDisk } from './disk.ts';
import type { Job, JobResult } from './load/protocol.ts';
import type { MeasureName } from './options.ts';
import { readCpuSeconds, readMachineCpuSeconds } from './proc.ts';
import type { Row, Verdict } from './report.ts';
import { median, percentile, spreadOf } from './stats.ts';
import type { Target } from './targets/target.ts';

/** What one round of one server gave. */
export type Sample = {
  readonly operationsPerSecond: number;
  readonly gbPerSecond: number;
  readonly operations: number;
  readonly gigabytes: number;
  readonly cpuSeconds: number;
  readonly clientCores: number;
  /** Cores that neither the server nor the clients used: the kernel's own work, and whatever else runs here. */
  readonly otherCores: number;
  readonly result: JobResult;
};

export type Samples = { readonly subject: readonly Sample[]; readonly baseline: readonly Sample[] };

export type Rounds = {
  readonly count: number;
  readonly jobFor: (target: Target) => Job;
  /** Runs before each server's round, outside of the measured time. */
  readonly before?: (target: Target) => Promise<void>;
};

// Work that a server leaves for after its reply still belongs to the round.
const settleMs = 50;
// The kernel's own threads need some of this for writing to the disk.
const disturbedCores = 0.3;

/** Runs a job once and measures the server's and the clients' part of it. */
export async function measureJob(ctx: Context, target: Target, job: Job): Promise<Sample> {
  let cpuBefore = 0;
  let machineBefore = 0;
  let machineSeconds = 0;
  const [result] = await ctx.pool.run([job], {
    before: () => {
      cpuBefore = readCpuSeconds(target.pid);
      machineBefore = readMachineCpuSeconds();
    },
    after: () => {
      machineSeconds = readMachineCpuSeconds() - machineBefore;
    },
  });
  if (result === undefined) throw new Error('The job gave no result');
  await sleep(settleMs);
  const cpuSeconds = readCpuSeconds(target.pid) - cpuBefore;
  const seconds = (result.endedAt - result.startedAt) / 1000;
  return {
    operationsPerSecond: result.operations / seconds,
    gbPerSecond: result.bytes / 1e9 / seconds,
    operations: result.operations,
    gigabytes: result.bytes / 1e9,
    cpuSeconds,
    clientCores: result.clientCpuMs / 1000 / seconds,
    otherCores: Math.max(0, (machineSeconds - cpuSeconds - result.clientCpuMs / 1000) / seconds),
    result,
  };
}

/** Alternates rounds of the two servers, each going first in turn, so that a drift of the machine meets both. */
export async function alternate(ctx: Context, rounds: Rounds): Promise<Samples> {
  const subject: Sample[] = [];
  const baseline: Sample[] = [];
  for (let round = 0; round < rounds.count; round++) {
    const turns = [
      { target: ctx.subject, samples: subject },
      { target: ctx.baseline, samples: baseline },
    ];
    for (const { target, samples } of round % 2 === 0 ? turns : turns.reverse()) {
      await rounds.before?.(target);
      flushDisk(target.dir);
      samples.push(await measureJob(ctx, target, rounds.jobFor(target)));
    }
  }
  return { subject, baseline };
}

export type RowOptions = {
  readonly measure: MeasureName;
  readonly label: string;
  readonly unit: string;
  readonly figure: 'operationsPerSecond' | 'gbPerSecond';
  readonly cpuPer: 'gigabyte' | 'operation';
  readonly atLeast?: number;
};

/** The line of a comparison. A round with errors never meets a bar. */
export function buildRow(samples: Samples, options: RowOptions): Row {
  const of = (side: readonly Sample[]) => side.map((sample) => sample[options.figure]);
  const [subject, baseline] = [of(samples.subject), of(samples.baseline)];
  const ratio = spreadOf(subject.map((value, round) => value / (baseline[round] ?? Number.NaN)));
  const errors = [...samples.subject, ...samples.baseline].flatMap((sample) => sample.result.errors);
  return {
    measure: options.measure,
    label: options.label,
    unit: options.unit,
    subject: spreadOf(subject),
    baseline: spreadOf(baseline),
    ratio,
    ...(options.atLeast === undefined
      ? {}
      : { verdict: judgeAtLeast(errors.length > 0 ? Number.NaN : ratio.median, options.atLeast) }),
    cpu: {
      unit: options.cpuPer === 'gigabyte' ? 's/GB' : 'µs/op',
      subject: cpuPer(samples.subject, options.cpuPer),
      baseline: cpuPer(samples.baseline, options.cpuPer),
    },
    clientCores: {
      subject: median(samples.subject.map((sample) => sample.clientCores)),
      baseline: median(samples.baseline.map((sample) => sample.clientCores)),
    },
    ...noteDisturbance(samples),
    rounds: { subject, baseline },
    errors,
  };
}

/** The line with what the slowest hundredth of the requests took on both sides, after a text of its own. */
export function noteP99(row: Row, samples: Samples, text: string): Row {
  const p99 = [samples.subject, samples.baseline].map((side) => {
    const latencies = side.flatMap(({ result }) => result.latenciesMs);
    return `${percentile(latencies, 99).toFixed(1)} ms`;
  });
  return { ...row, note: [text, `p99 ${p99.join(' beside ')}`, row.note].filter(Boolean).join('; ') };
}

/** Says so when something else than the measured took part of the machine. */
function noteDisturbance(samples: Samples): { readonly note?: string } {
  const others = median([...samples.subject, ...samples.baseline].map((sample) => sample.otherCores));
  return others < disturbedCores ? {} : { note: `disturbed: others used ${others.toFixed(1)} cores` };
}

export function judgeAtLeast(value: number, wanted: number): Verdict {
  return { wanted: `≥ ${wanted}×`, isMet: value >= wanted };
}

export function renderClients(count: number): string {
  return count === 1 ? '1 client' : `${count} clients`;
}

/** Processor time of all rounds together, for the ticks it is counted in are coarse. */
function cpuPer(samples: readonly Sample[], per: RowOptions['cpuPer']): number {
  const seconds = samples.reduce((sum, sample) => sum + sample.cpuSeconds, 0);
  if (per === 'gigabyte') return seconds / samples.reduce((sum, sample) => sum + sample.gigabytes, 0);
  return (seconds * 1e6) / samples.reduce((sum, sample) => sum + sample.operations, 0);
}
