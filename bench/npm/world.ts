import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Context } from '../context.ts';
import { createRepository, createToken } from '../targets/administration.ts';
import type { Kind, Target } from '../targets/target.ts';
import { verdaccio } from '../targets/verdaccio.ts';
import { askOwnRegistry, type Client, type Command, Place, type Registry } from './client.ts';

const manifestFile = new URL('../../server/test/clients/fixtures/npm-app/package.json', import.meta.url);
const replayFile = new URL('../targets/replay.ts', import.meta.url).pathname;
const keys = { local: 'bench-npm-local', remote: 'bench-npm-remote', virtual: 'bench-npm' };
/** Longer than any run, so that nothing that was fetched once is asked for again. */
const freshSeconds = 86_400;
const reachLimitMs = 20_000;

/** A way to the packages of the registry that npm asks by default. */
export type Way = {
  readonly name: string;
  readonly target: Target;
  readonly registry: Registry;
};

/** Two caches in front of the same registry, and three ways into them. */
export type NpmWorld = {
  readonly virtual: Way;
  readonly remote: Way;
  readonly verdaccio: Way;
  /** Where clients may have folders of their own. */
  readonly folder: string;
  readonly manifest: string;
};

/** Starts both caches with nothing stored, runs the function and stops them; says so where there is nothing to cache. */
export async function withNpmWorld(ctx: Context, run: (world: NpmWorld) => Promise<void>): Promise<void> {
  if (ctx.options.subject !== 'entrepot') {
    console.log('  left out: only Entrepot is compared with verdaccio');
    return;
  }
  const upstream = await askOwnRegistry();
  if (!(await isReachable(upstream))) {
    console.log('  left out: the registry that npm asks cannot be reached');
    return;
  }
  const subject = ctx.createSubject('npm');
  const baseline = ctx.createTarget('verdaccio', await verdaccio(upstream));
  try {
    await subject.reset();
    await baseline.reset();
    await createRepositories(subject, upstream);
    const token = await createToken(subject);
    const wayOf = (key: string, name: string): Way => {
      const url = `${originOf(subject)}/artifactory/api/npm/${key}/`;
      return { name, target: subject, registry: { url, token } };
    };
    await run({
      virtual: wayOf(keys.virtual, 'virtual'),
      remote: wayOf(keys.remote, 'remote'),
      verdaccio: { name: baseline.name, target: baseline, registry: { url: `${originOf(baseline)}/` } },
      folder: join(dirname(subject.dir), 'npm-clients'),
      manifest: await readFile(manifestFile, 'utf8'),
    });
  } finally {
    await subject.remove();
    await baseline.remove();
  }
}

async function createRepositories(target: Target, url: string): Promise<void> {
  const packageType = 'npm';
  await createRepository(target, keys.local, { packageType, rclass: 'local' });
  const remote = { packageType, rclass: 'remote', url, retrievalCachePeriodSecs: freshSeconds };
  await createRepository(target, keys.remote, remote);
  const repositories = [keys.local, keys.remote];
  await createRepository(target, keys.virtual, { packageType, rclass: 'virtual', repositories });
}

/** What a command gave: its time, and the lock file as it stood then. */
export type Installed = { readonly seconds: number; readonly lock: string };

/** Runs a client through a way as somebody does who has nothing in a cache, and leaves nothing behind. */
export async function install(
  world: NpmWorld,
  client: Client,
  { name, registry }: Way,
  { run, lock }: { readonly run: Command; readonly lock?: string | undefined },
): Promise<Installed> {
  const { manifest } = world;
  const place = await Place.create(client, join(world.folder, name.replace(/\W/g, '-')), registry, { manifest, lock });
  try {
    const seconds = await place.run(run);
    return { seconds, lock: await place.lock() };
  } finally {
    await place.remove();
  }
}

/** Names of the packages in a lock file of npm's, each once, and how many installations of them there are. */
export function readLock(lock: string): { readonly names: readonly string[]; readonly installations: number } {
  const { packages } = JSON.parse(lock) as { packages: Record<string, { readonly name?: string }> };
  const places = Object.entries(packages).filter(([place]) => place !== '');
  const names = places.map(([place, { name }]) => name ?? place.slice(place.lastIndexOf('node_modules/') + 13));
  return { names: [...new Set(names)], installations: places.length };
}

/** A server that knows nothing but what it was answered before by the origin, and asks no questions. */
export function replay(origin: string): Kind {
  return {
    name: 'replay',
    namePrefix: '',
    credentials: undefined,
    readyPath: '/-/ready',
    prepare: async ({ port }) => ({
      file: process.execPath,
      args: [replayFile, String(port), origin],
      env: process.env,
    }),
  };
}

export function originOf({ endpoint }: Target): string {
  return `http://${endpoint.host}:${endpoint.port}`;
}

async function isReachable(registry: string): Promise<boolean> {
  try {
    const answer = await fetch(new URL('-/ping', registry), { signal: AbortSignal.timeout(reachLimitMs) });
    await answer.body?.cancel();
    return answer.status < 500;
  } catch {
    return false;
  }
}
