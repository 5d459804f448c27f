import { randomUUID } from 'node:crypto';
import type { Context } from './context.ts';
import { type Filled, fillDatabase } from './fill.ts';
import type { ImageRef } from './load/image.ts';
import { Session } from './load/session.ts';
import { requestJob, warmUpMs } from './measures/manifest.ts';
import { pushImages } from './measures/pull.ts';
import { measureTagWrites } from './measures/tag-writes.ts';
import { alternate, buildRow, measureJob } from './rounds.ts';
import { percentile, type Spread, spreadOf } from './stats.ts';
import type { Target } from './targets/target.ts';

const manifestRepository = 'bench/manifest';
const slowdownBar = 1.5;
const requestBarMs = 50;
const starts = 3;
const connections = 10;
const manifestImages = 20;
const spreadTags = 10_000;
const pagePositions = [0, 0.25, 0.5, 0.75, 0.9];
const requestsPerPosition = 40;
const smallLayerMegabytes = 0.1;

/** How much slower the server is when it holds a million nodes than when it is empty, and how fast it lists tags. */
export async function measureScale(ctx: Context): Promise<void> {
  if (ctx.options.subject !== 'entrepot') {
    console.log('  left out: only Entrepot is filled');
    return;
  }
  const filled = ctx.subject;
  const empty = ctx.createSubject('empty');
  try {
    await measureFilled({ ...ctx, subject: filled, baseline: empty });
  } finally {
    await filled.remove();
    await empty.remove();
  }
}

/** Here the baseline is the empty server. */
async function measureFilled(ctx: Context): Promise<void> {
  const largeImage = `scale/${randomUUID()}`;
  const images = new Map<Target, readonly ImageRef[]>();
  for (const target of [ctx.subject, ctx.baseline]) {
    await target.reset();
    const few = { repository: manifestRepository, count: manifestImages, megabytes: smallLayerMegabytes };
    images.set(target, await pushImages(ctx, target, few));
  }
  const one = { repository: largeImage, count: 1, megabytes: smallLayerMegabytes };
  const [template] = await pushImages(ctx, ctx.subject, one);
  if (template === undefined) throw new Error('The image to copy was not pushed');
  await ctx.subject.stop();
  const startedAt = performance.now();
  const amount = ctx.options.isQuick ? { nodes: 100_000, tags: 10_000 } : { nodes: 1_000_000, tags: 100_000 };
  const filled = fillDatabase(ctx.subject.dir, { image: largeImage, tag: template.tag }, amount);
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(`  filled with ${describe(filled)} in ${seconds.toFixed(0)} s`);

  await measureStart(ctx, describe(filled));
  await measureManifests(ctx, images, { image: largeImage, tags: filled.tags });
  await measureTagWrites(ctx, images, requestBarMs);
  for (const count of [100, 1000]) await measurePages(ctx, { image: largeImage, count }, filled.tags);
}

async function measureStart(ctx: Context, note: string): Promise<void> {
  const subject: number[] = [];
  const baseline: number[] = [];
  for (let round = 0; round < starts; round++) {
    await ctx.subject.stop();
    subject.push((await ctx.subject.start()).readyMs);
    await ctx.baseline.stop();
    baseline.push((await ctx.baseline.start()).readyMs);
  }
  ctx.report.add({
    measure: 'scale',
    label: 'start to readiness (baseline: empty)',
    unit: 'ms',
    subject: spreadOf(subject),
    baseline: spreadOf(baseline),
    note,
    errors: [],
  });
}

type Large = { readonly image: string; readonly tags: readonly string[] };

async function measureManifests(
  ctx: Context,
  images: ReadonlyMap<Target, readonly ImageRef[]>,
  large: Large,
): Promise<void> {
  const same = (target: Target) => (images.get(target) ?? []).map((image) => manifestPath(image.repository, image.tag));
  const spread = pickEvenly(large.tags, spreadTags).map((tag) =>
    manifestPath(`${ctx.subject.endpoint.namePrefix}${large.image}`, tag),
  );
  const cases = [
    { label: 'GET by tag, 20 tags (baseline: empty)', pathsOf: same, imageOf: () => manifestRepository },
    {
      label: `GET by tag, ${spread.length} tags (baseline: empty, 20 tags)`,
      pathsOf: (target: Target) => (target === ctx.subject ? spread : same(target)),
      imageOf: (target: Target) => (target === ctx.subject ? large.image : manifestRepository),
    },
  ];
  for (const { label, pathsOf, imageOf } of cases) {
    const jobFor = (target: Target) =>
      requestJob(target, {
        ctx,
        method: 'GET',
        clients: connections,
        repository: imageOf(target),
        paths: pathsOf(target),
      });
    for (const target of [ctx.subject, ctx.baseline]) {
      await measureJob(ctx, target, { ...jobFor(target), durationMs: warmUpMs });
    }
    const samples = await alternate(ctx, { count: ctx.options.rounds, jobFor });
    const row = buildRow(samples, {
      measure: 'scale',
      label,
      unit: 'req/s',
      figure: 'operationsPerSecond',
      cpuPer: 'operation',
    });
    const slowdown = 1 / (row.ratio?.median ?? Number.NaN);
    const isMet = slowdown <= slowdownBar && row.errors.length === 0;
    ctx.report.add({ ...row, verdict: { wanted: `≤ ${slowdownBar}× slower`, isMet } });
  }
}

type Pages = { readonly image: string; readonly count: number };

async function measurePages(ctx: Context, pages: Pages, tags: readonly string[]): Promise<void> {
  const p50: number[] = [];
  const p95: number[] = [];
  const errors: string[] = [];
  for (const position of pagePositions) {
    const last = position === 0 ? '' : `&last=${tags[Math.floor(tags.length * position)]}`;
    const path = `/v2/${ctx.subject.endpoint.namePrefix}${pages.image}/tags/list?n=${pages.count}${last}`;
    await requirePage(ctx.subject, path, pages.count);
    const job = requestJob(ctx.subject, { ctx, method: 'GET', clients: 1, repository: pages.image, paths: [path] });
    const { result } = await measureJob(ctx, ctx.subject, { ...job, operationsPerClient: requestsPerPosition });
    p50.push(percentile(result.latenciesMs, 50));
    p95.push(percentile(result.latenciesMs, 95));
    errors.push(...result.errors);
  }
  const row = { measure: 'scale' as const, unit: 'ms', note: renderPositions(p95), errors };
  ctx.report.add({
    ...row,
    label: `tags page, n=${pages.count}, p50`,
    subject: spreadOf(p50),
    note: renderPositions(p50),
  });
  const worst = Math.max(...p95);
  ctx.report.add({
    ...row,
    label: `tags page, n=${pages.count}, p95, slowest position`,
    subject: constant(worst),
    verdict: { wanted: `< ${requestBarMs} ms`, isMet: worst < requestBarMs && errors.length === 0 },
  });
}

/** A fast page that is not the wanted page would be worth nothing. */
async function requirePage(target: Target, path: string, count: number): Promise<void> {
  const session = new Session(target.endpoint);
  const repository = path.slice('/v2/'.length, path.indexOf('/tags/list'));
  await session.login(repository);
  const reply = await session.send({ ...session.prepare('GET', path), keepsBody: true }, 200);
  session.close();
  const found = (reply.body?.toString().match(/"v\d{6}"/g) ?? []).length;
  // The image's first tag is a real one that sorts before all others.
  if (found < count - 1) throw new Error(`${path} lists ${found} tags`);
}

function renderPositions(values: readonly number[]): string {
  return pagePositions.map((at, index) => `${at * 100} %: ${values[index]?.toFixed(2)} ms`).join(', ');
}

function describe(filled: Filled): string {
  return `${filled.nodes} nodes, an image of ${filled.tags.length + 1} tags, ${filled.sizeMb.toFixed(0)} MB database`;
}

function manifestPath(repository: string, tag: string): string {
  return `/v2/${repository}/manifests/${tag}`;
}

function pickEvenly<T>(items: readonly T[], count: number): readonly T[] {
  const step = Math.max(1, items.length / count);
  return Array.from({ length: Math.min(count, items.length) }, (_, index) => items[Math.floor(index * step)]).filter(
    (item) => item !== undefined,
  );
}

function constant(value: number): Spread {
  return { median: value, min: value, max: value };
}
