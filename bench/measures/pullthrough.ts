import type { Context } from '../context.ts';
import type { ImageRef } from '../load/image.ts';
import { alternate, buildRow, measureJob, renderClients } from '../rounds.ts';
import { createRepository } from '../targets/administration.ts';
import { dockerProxy, dockerRegistry } from '../targets/docker-registry.ts';
import type { Target } from '../targets/target.ts';
import { requestJob, warmUpMs } from './manifest.ts';
import { pushImages } from './pull.ts';

const repository = 'bench/through';
const remoteKey = 'far';
// A cold pull may take a tenth longer.
const coldBar = 0.91;
const warmBar = 5;

const colds = [
  { megabytes: 1, count: 20 },
  { megabytes: 100, count: 2 },
] as const;

/** Images pulled through a cache in front of one upstream: cold ones, and manifests that it has by then. */
export async function measurePullThrough(outer: Context): Promise<void> {
  const upstream = outer.createTarget('upstream', dockerRegistry);
  const subject = outer.createSubject('pull-through', { ENTREPOT_REMOTES__ALLOWED_ADDRESSES: '127.0.0.0/8' });
  const servers: Target[] = [upstream, subject];
  try {
    await upstream.reset();
    const upstreamUrl = `http://${upstream.endpoint.host}:${upstream.endpoint.port}`;
    const baseline = outer.createTarget('proxy', dockerProxy(upstreamUrl));
    servers.push(baseline);
    await baseline.reset();
    await subject.reset();
    await createRepository(subject, remoteKey, { rclass: 'remote', packageType: 'docker', url: upstreamUrl });
    const ctx = { ...outer, subject, baseline };
    for (const cold of colds) await measureCold(ctx, upstream, cold);
    await measureWarm(ctx, upstream);
  } finally {
    for (const server of servers) await server.remove();
  }
}

/** Where the target serves what the upstream has. */
function placeOf(ctx: Context, target: Target, images: readonly ImageRef[]) {
  if (target !== ctx.subject) return { endpoint: target.endpoint, images };
  const prefix = `${remoteKey}/`;
  return {
    endpoint: { ...target.endpoint, namePrefix: prefix },
    images: images.map((image) => ({ ...image, repository: prefix + image.repository })),
  };
}

/** Each server's round pulls images that nobody has pulled before. */
async function measureCold(
  ctx: Context,
  upstream: Target,
  { megabytes, count }: (typeof colds)[number],
): Promise<void> {
  let fresh: readonly ImageRef[] = [];
  const before = async () => {
    fresh = await pushImages(ctx, upstream, { repository, count, megabytes });
  };
  const jobFor = (target: Target) => {
    const { endpoint, images } = placeOf(ctx, target, fresh);
    return {
      endpoint,
      scenario: { kind: 'pull' as const, images },
      clients: 1,
      repository,
      durationMs: 120_000,
      operationsPerClient: count,
    };
  };
  for (const target of [ctx.subject, ctx.baseline]) {
    await before();
    await measureJob(ctx, target, jobFor(target));
  }
  const samples = await alternate(ctx, { count: ctx.options.rounds, before, jobFor });
  ctx.report.add(
    buildRow(samples, {
      measure: 'pullthrough',
      label: `cold, ${megabytes} MB, 1 client`,
      unit: 'images/s',
      figure: 'operationsPerSecond',
      cpuPer: 'gigabyte',
      atLeast: coldBar,
    }),
  );
}

async function measureWarm(ctx: Context, upstream: Target): Promise<void> {
  const all = await pushImages(ctx, upstream, { repository, count: 20, megabytes: 0.1 });
  const cases = [
    { label: 'GET by tag', reference: (image: ImageRef) => image.tag },
    { label: 'GET by digest', reference: (image: ImageRef) => image.manifestDigest },
  ];
  for (const { label, reference } of cases) {
    for (const clients of [1, 10]) {
      const jobFor = (target: Target) => {
        const { endpoint, images } = placeOf(ctx, target, all);
        const paths = images.map((image) => `/v2/${image.repository}/manifests/${reference(image)}`);
        return { ...requestJob(target, { ctx, repository, method: 'GET' as const, clients, paths }), endpoint };
      };
      for (const target of [ctx.subject, ctx.baseline]) {
        await measureJob(ctx, target, { ...jobFor(target), durationMs: warmUpMs / 2 });
      }
      const samples = await alternate(ctx, { count: ctx.options.rounds, jobFor });
      ctx.report.add(
        buildRow(samples, {
          measure: 'pullthrough',
          label: `warm, ${label}, ${renderClients(clients)}`,
          unit: 'req/s',
          figure: 'operationsPerSecond',
          cpuPer: 'operation',
          atLeast: warmBar,
        }),
      );
    }
  }
}
