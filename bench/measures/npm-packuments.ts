import type { Context } from '../context.ts';
import type { Job } from '../load/protocol.ts';
import { ownNpm } from '../npm/client.ts';
import { install, type NpmWorld, readLock, type Way, withNpmWorld } from '../npm/world.ts';
import { readMemory } from '../proc.ts';
import { alternate, buildRow, measureJob, noteP99, renderClients, type Samples } from '../rounds.ts';
import type { Target } from '../targets/target.ts';
import { warmUpMs } from './manifest.ts';

const measure = 'npm-packuments';
const requestBar = 5;
const memoryBar = 0.5;
const noLimit = 10_000_000;
const fillLimitMs = 300_000;
/** npm keeps no more connections than the latter. */
const clientCounts = [1, 15];
/** As npm sends them. */
const headers = [
  'Accept: application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*',
  'Accept-Encoding: gzip',
];

/** Abbreviated packuments per second of all packages of an application that both caches have, and their memory then. */
export async function measureNpmPackuments(outer: Context): Promise<void> {
  await withNpmWorld(outer, async (world) => {
    const ctx = { ...outer, subject: world.virtual.target, baseline: world.verdaccio.target };
    const names = await fill(world);
    for (const way of [world.virtual, world.remote]) {
      const wayOf = (target: Target) => (target === ctx.subject ? way : world.verdaccio);
      const jobFor = (target: Target, clients: number) => jobOf(ctx, wayOf(target), names, clients);
      for (const target of [ctx.subject, ctx.baseline]) {
        // Each document once, however long that takes, and then on until the code is warm.
        await measureJob(ctx, target, {
          ...jobFor(target, 1),
          durationMs: fillLimitMs,
          operationsPerClient: names.length,
        });
        await measureJob(ctx, target, { ...jobFor(target, 4), durationMs: warmUpMs });
      }
      for (const clients of clientCounts) {
        const samples = await alternate(ctx, {
          count: ctx.options.rounds,
          jobFor: (target) => jobFor(target, clients),
        });
        addRow(ctx, samples, {
          label: `${names.length} packages, ${renderClients(clients)}, through the ${way.name} repository`,
          baseline: world.verdaccio.name,
        });
      }
    }
    addMemory(ctx, world);
  });
}

/** Has both caches fetch what it takes to resolve the application; answers the names of its packages. */
async function fill(world: NpmWorld): Promise<readonly string[]> {
  const npm = await ownNpm();
  await install(world, npm, world.verdaccio, { run: 'lock' });
  const { lock } = await install(world, npm, world.virtual, { run: 'lock' });
  return readLock(lock).names;
}

function jobOf(ctx: Context, { target, registry }: Way, names: readonly string[], clients: number): Job {
  const { host, port } = target.endpoint;
  const { pathname } = new URL(registry.url);
  return {
    endpoint: {
      host,
      port,
      namePrefix: '',
      credentials: undefined,
      ...(registry.token !== undefined && { authorization: `Bearer ${registry.token}` }),
    },
    scenario: {
      kind: 'request',
      method: 'GET',
      paths: names.map((name) => pathname + name.replace('/', '%2f')),
      headers,
    },
    clients,
    durationMs: ctx.options.roundMs,
    operationsPerClient: noLimit,
  };
}

function addRow(ctx: Context, samples: Samples, names: { readonly label: string; readonly baseline: string }): void {
  const row = buildRow(samples, {
    measure,
    label: names.label,
    unit: 'req/s',
    figure: 'operationsPerSecond',
    cpuPer: 'operation',
    atLeast: requestBar,
  });
  ctx.report.add(noteP99(row, samples, `baseline: ${names.baseline}`));
}

function addMemory(ctx: Context, world: NpmWorld): void {
  const [own, other] = [world.virtual, world.verdaccio].map(({ target }) => readMemory(target.pid));
  if (own === undefined || other === undefined) return;
  const ratio = own.rssMb / other.rssMb;
  const single = (value: number) => ({ median: value, min: value, max: value });
  ctx.report.add({
    measure,
    label: 'resident memory afterwards',
    unit: 'MB',
    subject: single(own.rssMb),
    baseline: single(other.rssMb),
    ratio: single(ratio),
    verdict: { wanted: `< ${memoryBar}×`, isMet: ratio < memoryBar },
    note: `peaks ${own.peakMb.toFixed(0)} MB beside ${other.peakMb.toFixed(0)} MB`,
    errors: [],
  });
}
