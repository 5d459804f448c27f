import { spawnSync } from 'node:child_process';
import { type Context, withServers } from '../context.ts';
import type { ImageRef } from '../load/image.ts';
import type { Job } from '../load/protocol.ts';
import { acceptHeader, Session } from '../load/session.ts';
import { alternate, buildRow, judgeAtLeast, measureJob, renderClients } from '../rounds.ts';
import { spreadOf } from '../stats.ts';
import type { Target } from '../targets/target.ts';
import { pushImages } from './pull.ts';

const repository = 'bench/manifest';
const imageCount = 20;
const smallLayerMegabytes = 0.1;
const manifestBar = 5;
const noLimit = 10_000_000;
const wrkConnections = 50;
// What a server does in its first seconds says little about the days that follow.
export const warmUpMs = 3_000;

type Case = {
  readonly label: string;
  readonly method: 'GET' | 'HEAD';
  readonly reference: (image: ImageRef) => string;
};

const cases: readonly Case[] = [
  { label: 'GET by tag', method: 'GET', reference: (image) => image.tag },
  { label: 'GET by digest', method: 'GET', reference: (image) => image.manifestDigest },
  { label: 'HEAD by tag', method: 'HEAD', reference: (image) => image.tag },
];

/** Manifest requests per second over keep-alive connections. */
export async function measureManifest(ctx: Context): Promise<void> {
  await withServers(ctx, async () => {
    const images = new Map<Target, readonly ImageRef[]>();
    for (const target of [ctx.subject, ctx.baseline]) {
      const wanted = { repository, count: imageCount, megabytes: smallLayerMegabytes };
      images.set(target, await pushImages(ctx, target, wanted));
      const paths = (images.get(target) ?? []).map((image) => `/v2/${image.repository}/manifests/${image.tag}`);
      const job = requestJob(target, { ctx, repository, method: 'GET', clients: 10, paths });
      await measureJob(ctx, target, { ...job, durationMs: warmUpMs });
    }
    for (const one of cases) {
      const pathsOf = (target: Target) =>
        (images.get(target) ?? []).map((image) => `/v2/${image.repository}/manifests/${one.reference(image)}`);
      for (const clients of [1, 10, 50]) {
        await measureCell(ctx, { ...one, clients, pathsOf });
      }
      if (ctx.options.usesWrk && one.method === 'GET') await measureWithWrk(ctx, one.label, pathsOf);
    }
  });
}

type Cell = Case & { readonly clients: number; readonly pathsOf: (target: Target) => readonly string[] };

async function measureCell(ctx: Context, cell: Cell): Promise<void> {
  const jobFor = (target: Target) => requestJob(target, { ...cell, repository, paths: cell.pathsOf(target), ctx });
  for (const target of [ctx.subject, ctx.baseline]) {
    await measureJob(ctx, target, { ...jobFor(target), durationMs: ctx.options.roundMs / 2 });
  }
  const samples = await alternate(ctx, { count: ctx.options.rounds, jobFor });
  ctx.report.add(
    buildRow(samples, {
      measure: 'manifest',
      label: `${cell.label}, ${renderClients(cell.clients)}`,
      unit: 'req/s',
      figure: 'operationsPerSecond',
      cpuPer: 'operation',
      atLeast: manifestBar,
    }),
  );
}

type Requests = {
  readonly ctx: Context;
  /** The image the paths lie in, which the clients' tokens are for. */
  readonly repository: string;
  readonly method: 'GET' | 'HEAD';
  readonly clients: number;
  readonly paths: readonly string[];
};

export function requestJob(target: Target, requests: Requests): Job {
  return {
    endpoint: target.endpoint,
    scenario: { kind: 'request', method: requests.method, paths: requests.paths },
    clients: requests.clients,
    repository: requests.repository,
    durationMs: requests.ctx.options.roundMs,
    operationsPerClient: noLimit,
  };
}

/** The same with wrk, one path only, to check the harness's own client against another. */
async function measureWithWrk(ctx: Context, label: string, pathsOf: Cell['pathsOf']): Promise<void> {
  const subject: number[] = [];
  const baseline: number[] = [];
  for (let round = 0; round < ctx.options.rounds; round++) {
    subject.push(await runWrk(ctx, ctx.subject, pathsOf(ctx.subject)[0] ?? ''));
    baseline.push(await runWrk(ctx, ctx.baseline, pathsOf(ctx.baseline)[0] ?? ''));
  }
  const ratio = spreadOf(subject.map((value, round) => value / (baseline[round] ?? Number.NaN)));
  ctx.report.add({
    measure: 'manifest',
    label: `${label}, ${renderClients(wrkConnections)}, wrk`,
    unit: 'req/s',
    subject: spreadOf(subject),
    baseline: spreadOf(baseline),
    ratio,
    verdict: judgeAtLeast(ratio.median, manifestBar),
    errors: [],
  });
}

async function runWrk(ctx: Context, target: Target, path: string): Promise<number> {
  const session = new Session(target.endpoint);
  await session.login(`${target.endpoint.namePrefix}${repository}`);
  session.close();
  const { host, port } = target.endpoint;
  const headers = [acceptHeader, session.authorization.trim()].filter(Boolean).flatMap((header) => ['-H', header]);
  const seconds = Math.max(1, Math.round(ctx.options.roundMs / 1000));
  const args = ['-t1', `-c${wrkConnections}`, `-d${seconds}s`, ...headers, `http://${host}:${port}${path}`];
  const run = spawnSync('wrk', args, { encoding: 'utf8', timeout: 60_000 });
  if (/Non-2xx/.test(run.stdout)) throw new Error(`wrk met errors:\n${run.stdout}`);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(run.stdout)?.[1];
  if (rate === undefined) throw new Error('wrk is not installed or gave no rate.');
  return Number(rate);
}
