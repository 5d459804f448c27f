import type { Context } from '../context.ts';
import type { ImageRef } from '../load/image.ts';
import type { Job } from '../load/protocol.ts';
import { buildRow, measureJob, renderClients, type Sample } from '../rounds.ts';
import { createRepository } from '../targets/administration.ts';
import type { Target } from '../targets/target.ts';
import { requestJob, warmUpMs } from './manifest.ts';
import { pushImages } from './pull.ts';

const repository = 'bench/virtual';
const virtual = 'bench-virtual';
const members = ['bench-a', 'bench-b', 'bench-c', 'bench-d'];
const imageCount = 20;
const layerMegabytes = 0.1;
/** Within 1.3 times. */
const virtualBar = 0.77;

type Case = { readonly label: string; readonly referenceOf: (image: ImageRef) => string };

const cases: readonly Case[] = [
  { label: 'manifest by tag', referenceOf: ({ tag }) => `manifests/${tag}` },
  { label: 'manifest by digest', referenceOf: ({ manifestDigest }) => `manifests/${manifestDigest}` },
  { label: 'blob', referenceOf: ({ layerDigest }) => `blobs/${layerDigest}` },
];

/** What a virtual repository over five costs: requests per second through it beside those of its last member itself. */
export async function measureVirtual(ctx: Context): Promise<void> {
  if (ctx.options.subject !== 'entrepot') {
    console.log('  left out: only Entrepot has virtual repositories');
    return;
  }
  const target = ctx.subject;
  try {
    await target.reset();
    await createRepositories(target);
    const wanted = { repository, count: imageCount, megabytes: layerMegabytes };
    const images = await pushImages(ctx, target, wanted);
    for (const one of cases) {
      for (const clients of [1, 10, 50]) await measureCell(ctx, { ...one, clients, images });
    }
  } finally {
    await target.remove();
  }
}

type Cell = Case & { readonly clients: number; readonly images: readonly ImageRef[] };

async function measureCell(ctx: Context, { label, referenceOf, clients, images }: Cell): Promise<void> {
  const target = ctx.subject;
  const jobOf = (key: string): Job => {
    const namePrefix = `${key}/`;
    const paths = images.map((image) => `/v2/${namePrefix}${repository}/${referenceOf(image)}`);
    const job = requestJob(target, { ctx, repository, method: 'GET', clients, paths });
    return { ...job, endpoint: { ...target.endpoint, namePrefix } };
  };
  const local = target.endpoint.namePrefix.replace(/\/$/, '');
  for (const key of [virtual, local]) await measureJob(ctx, target, { ...jobOf(key), durationMs: warmUpMs / 3 });
  const samples: Record<'subject' | 'baseline', Sample[]> = { subject: [], baseline: [] };
  for (let round = 0; round < ctx.options.rounds; round++) {
    const turns = [
      { key: virtual, into: samples.subject },
      { key: local, into: samples.baseline },
    ];
    for (const { key, into } of round % 2 === 0 ? turns : turns.reverse()) {
      into.push(await measureJob(ctx, target, jobOf(key)));
    }
  }
  ctx.report.add(
    buildRow(samples, {
      measure: 'virtual',
      label: `${label}, ${renderClients(clients)}`,
      unit: 'req/s',
      figure: 'operationsPerSecond',
      cpuPer: 'operation',
      atLeast: virtualBar,
    }),
  );
}

/** Four that are empty before the one that has everything. */
async function createRepositories(target: Target): Promise<void> {
  const create = (key: string, settings: object) =>
    createRepository(target, key, { packageType: 'docker', ...settings });
  const last = target.endpoint.namePrefix.replace(/\/$/, '');
  for (const key of members) await create(key, { rclass: 'local' });
  await create(virtual, { rclass: 'virtual', repositories: [...members, last] });
}
