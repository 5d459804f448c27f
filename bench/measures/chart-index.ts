import { type ChartCount, chartArchive, chartName, fillCharts, upstreamIndex } from '../charts.ts';
import type { Context } from '../context.ts';
import {
  ask,
  measureDocument,
  onEachDatabase,
  type Place,
  startEmpty,
  startUpstream,
  stopUpstream,
  timed,
  type Upstream,
  withFilledTarget,
} from '../large-document.ts';
import { createRepository } from '../targets/administration.ts';
import type { Target } from '../targets/target.ts';

/** Answered from memory after the first time. */
const probe = '/artifactory/api/storage/generic-local/small';
const few: ChartCount = { prefix: 'few', names: 50, versions: 10 };

type Case = {
  readonly label: string;
  /** The repository whose index is read. */
  readonly key: string;
  readonly publishesTo?: string;
};

const cases: readonly Case[] = [
  { label: 'local', key: 'charts-local', publishesTo: 'charts-local' },
  { label: 'remote', key: 'charts-remote' },
  { label: 'virtual over the local one', key: 'charts', publishesTo: 'charts' },
  { label: 'virtual over the remote one', key: 'charts-far', publishesTo: 'charts-far' },
];

/** What an index of 50,000 charts costs those who read it, those who publish to it and everybody else. */
export async function measureChartIndex(ctx: Context): Promise<void> {
  if (ctx.options.subject !== 'entrepot') {
    console.log('  left out: only Entrepot has repositories of charts');
    return;
  }
  const size: ChartCount = { prefix: 'chart', names: ctx.options.isQuick ? 1000 : 5000, versions: 10 };
  const upstreams = [
    await startUpstream('/index.yaml', upstreamIndex({ ...few, prefix: 'beside' }), 'application/x-yaml'),
    await startUpstream('/index.yaml', upstreamIndex({ ...size, prefix: 'far' }), 'application/x-yaml'),
  ] as const;
  try {
    await onEachDatabase((place) => measureOn(ctx, place, { size, upstreams }));
  } finally {
    for (const upstream of upstreams) stopUpstream(upstream);
  }
}

type Content = {
  readonly size: ChartCount;
  readonly upstreams: readonly [few: Upstream, many: Upstream];
};

async function measureOn(ctx: Context, place: Place, { size, upstreams }: Content): Promise<void> {
  await withFilledTarget(ctx, place, {
    name: 'charts',
    prepare: (target) => prepare(target, upstreams),
    async fill(database) {
      await fillCharts(database, 'charts-local', size);
      await fillCharts(database, 'charts-few', few);
    },
    async measure(target) {
      for (const one of cases) {
        await startEmpty(target, probe);
        const label = `${place.database}, ${one.label}`;
        await measureCase(ctx, target, { ...one, label, count: size.names * size.versions });
      }
    },
  });
}

async function prepare(target: Target, [small, large]: Content['upstreams']): Promise<void> {
  const create = (key: string, settings: object) => createRepository(target, key, { packageType: 'helm', ...settings });
  await create('charts-local', { rclass: 'local' });
  await create('charts-few', { rclass: 'local' });
  await create('charts-remote', { rclass: 'remote', url: large.url });
  await create('charts-beside', { rclass: 'remote', url: small.url });
  await create('charts', {
    rclass: 'virtual',
    repositories: ['charts-local', 'charts-beside'],
    defaultDeploymentRepo: 'charts-local',
  });
  await create('charts-far', {
    rclass: 'virtual',
    repositories: ['charts-few', 'charts-remote'],
    defaultDeploymentRepo: 'charts-few',
  });
  await ask(target, 'PUT', '/artifactory/generic-local/small', { body: Buffer.from('content') });
}

async function measureCase(ctx: Context, target: Target, one: Case & { readonly count: number }): Promise<void> {
  const { label, key, publishesTo, count } = one;
  await measureDocument(ctx, target, {
    measure: 'chart-index',
    label,
    what: `index of ${count} charts`,
    probe,
    path: `/artifactory/api/helm/${key}/index.yaml`,
    publish:
      publishesTo === undefined
        ? undefined
        : {
            what: 'a chart',
            send: async (i) => {
              const [name, version] = [chartName(few, i), `2.${i}.0`];
              const body = await chartArchive(name, version);
              const path = `/artifactory/api/helm/${publishesTo}/${name}-${version}.tgz`;
              const { ms } = await timed(() => ask(target, 'PUT', path, { body }));
              return { ms, seen: `"${name}-${version}.tgz"` };
            },
          },
  });
}
