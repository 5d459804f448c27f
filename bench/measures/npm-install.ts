import { withoutHosts } from '../../server/test/clients/node-installers.ts';
import type { Context } from '../context.ts';
import { flushDisk } from '../disk.ts';
import { type Client, type Command, otherClient, ownNpm } from '../npm/client.ts';
import { install, type NpmWorld, originOf, readLock, replay, type Way, withNpmWorld } from '../npm/world.ts';
import type { MeasureName } from '../options.ts';
import { readCpuSeconds, readMemory } from '../proc.ts';
import type { Row } from '../report.ts';
import { median, spreadOf } from '../stats.ts';

const warmBar = 0.7;
const fewestRounds = 3;

type Figures = { readonly seconds: number[]; readonly cpuSeconds: number[] };

/** How long npm takes to install an application through each cache, when they have all of it and npm has nothing. */
export async function measureNpmInstall(ctx: Context): Promise<void> {
  await measureInstall(ctx, ownNpm);
}

/** The same with pnpm, whose own work is less. */
export async function measurePnpmInstall(ctx: Context): Promise<void> {
  await measureInstall(ctx, () => otherClient('pnpm'));
}

/** The same with bun, whose own work is hardly any. */
export async function measureBunInstall(ctx: Context): Promise<void> {
  await measureInstall(ctx, () => otherClient('bun'));
}

async function measureInstall(ctx: Context, clientOf: () => Promise<Client>): Promise<void> {
  await withNpmWorld(ctx, async (world) => {
    const client = await clientOf();
    const locks = await measureCold(ctx, world, client);
    const floorTarget = ctx.createTarget('replay', replay(originOf(world.virtual.target)));
    try {
      await floorTarget.reset();
      const { url, token = '' } = world.virtual.registry;
      const path = new URL(url).pathname;
      const floor: Way = {
        name: 'floor',
        target: floorTarget,
        registry: { url: originOf(floorTarget) + path, token },
      };
      const lock = locks.get(world.virtual) ?? '';
      const movedTo = (way: Way) => lock.replaceAll(url, way.registry.url);
      for (const way of [world.remote, floor]) locks.set(way, movedTo(way));
      await install(world, client, floor, { run: 'install' });
      const ways = [world.virtual, world.verdaccio, world.remote, floor];
      await measureWarm(ctx, world, {
        client,
        ways,
        label: `${client.name} ${client.installer.again.filter((word) => word !== '--ignore-scripts').join(' ')}`,
        run: (way) => ({ run: 'again', lock: locks.get(way) ?? '' }),
      });
      await measureWarm(ctx, world, {
        client,
        ways,
        label: `${client.name} install without a lock file`,
        run: () => ({ run: 'install' }),
      });
    } finally {
      await floorTarget.remove();
    }
  });
}

/** Fills both caches; the lock files that come of it must say the same of versions. */
async function measureCold(ctx: Context, world: NpmWorld, client: Client): Promise<Map<Way, string>> {
  const locks = new Map<Way, string>();
  const seconds = new Map<Way, number>();
  for (const way of [world.verdaccio, world.virtual]) {
    const done = await install(world, client, way, { run: 'install' });
    locks.set(way, done.lock);
    seconds.set(way, done.seconds);
  }
  const [own = '', other = ''] = [world.virtual, world.verdaccio].map((way) =>
    withoutHosts(locks.get(way) ?? '', client.installer, way.registry.url),
  );
  const { note, isSame } = comparisonOf(client, own, other);
  ctx.report.add({
    measure: measureOf(client),
    label: `${client.name} install, cold (once, not compared)`,
    unit: 's',
    subject: spreadOf([seconds.get(world.virtual) ?? Number.NaN]),
    baseline: spreadOf([seconds.get(world.verdaccio) ?? Number.NaN]),
    note: `${client.name} ${client.version}; baseline: ${world.verdaccio.name}; ${note}`,
    errors: isSame ? [] : ['the lock files name different versions'],
  });
  return locks;
}

function measureOf({ name }: Client): MeasureName {
  return `${name}-install`;
}

/** Of npm's lock files it is known which field says what. */
function comparisonOf(client: Client, own: string, other: string): { readonly note: string; readonly isSame: boolean } {
  if (client.installer.lockFile !== 'package-lock.json') {
    const isSame = own === other;
    return { note: `the lock files are ${isSame ? 'the same but for addresses' : 'not the same'}`, isSame };
  }
  const differences = differencesOf(own, other);
  const { names, installations } = readLock(own);
  return {
    note: `${installations} installations of ${names.length} packages; ${renderDifferences(differences)}`,
    isSame: !differences.has('version') && !differences.has('integrity'),
  };
}

/** The fields in which two lock files differ, each with an example. */
function differencesOf(own: string, other: string): ReadonlyMap<string, string> {
  const [mine = {}, theirs = {}] = [own, other].map(
    (lock) => (JSON.parse(lock) as { packages: Record<string, Record<string, unknown>> }).packages,
  );
  const found = new Map<string, string>();
  for (const place of new Set([...Object.keys(mine), ...Object.keys(theirs)])) {
    const [a, b] = [mine[place] ?? {}, theirs[place] ?? {}];
    for (const field of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const [left, right] = [JSON.stringify(a[field]), JSON.stringify(b[field])];
      if (left !== right && !found.has(field)) found.set(field, `${place}: ${left} and ${right}`.slice(0, 200));
    }
  }
  return found;
}

function renderDifferences(differences: ReadonlyMap<string, string>): string {
  if (differences.size === 0) return 'the lock files are the same but for addresses';
  return `the lock files differ in ${[...differences].map(([field, example]) => `"${field}" (${example})`).join(', ')}`;
}

type Warm = {
  readonly client: Client;
  readonly label: string;
  /** The first is compared with the second; the others stand beside them. */
  readonly ways: readonly Way[];
  readonly run: (way: Way) => { readonly run: Command; readonly lock?: string };
};

async function measureWarm(ctx: Context, world: NpmWorld, { client, label, ways, run }: Warm): Promise<void> {
  const figures = new Map<Way, Figures>(ways.map((way) => [way, { seconds: [], cpuSeconds: [] }]));
  const count = Math.max(fewestRounds, ctx.options.isQuick ? 0 : ctx.options.rounds);
  for (let round = 0; round < count; round++) {
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
      flushDisk(way.target.dir);
      const cpuBefore = readCpuSeconds(way.target.pid);
      const { seconds } = await install(world, client, way, run(way));
      figures.get(way)?.seconds.push(seconds);
      figures.get(way)?.cpuSeconds.push(readCpuSeconds(way.target.pid) - cpuBefore);
    }
  }
  const [subject, baseline, ...others] = ways;
  if (subject === undefined || baseline === undefined) throw new Error('Two ways are compared.');
  const rowOf = (way: Way) => ({ measure: measureOf(client), ...buildRow(figures.get(way), figures.get(baseline)) });
  const row = rowOf(subject);
  const memory = [subject, baseline].map(({ target }) => `${readMemory(target.pid).rssMb.toFixed(0)} MB`);
  ctx.report.add({
    ...row,
    label: `${label}, warm, through the virtual repository`,
    verdict: { wanted: `≤ ${warmBar}×`, isMet: (row.ratio?.median ?? Number.NaN) <= warmBar },
    note: `resident afterwards ${memory.join(' beside ')}`,
  });
  for (const way of others) {
    ctx.report.add({
      ...rowOf(way),
      label:
        way.name === 'floor'
          ? `${label}, warm, the same answers out of a bare server's memory: the floor`
          : `${label}, warm, through the ${way.name} repository`,
    });
  }
}

function buildRow(own: Figures | undefined, other: Figures | undefined): Omit<Row, 'measure' | 'label'> {
  if (own === undefined || other === undefined) throw new Error('A way was not measured');
  return {
    unit: 's',
    subject: spreadOf(own.seconds),
    baseline: spreadOf(other.seconds),
    ratio: spreadOf(own.seconds.map((value, round) => value / (other.seconds[round] ?? Number.NaN))),
    cpu: { unit: 's', subject: median(own.cpuSeconds), baseline: median(other.cpuSeconds) },
    rounds: { subject: own.seconds, baseline: other.seconds },
    errors: [],
  };
}
