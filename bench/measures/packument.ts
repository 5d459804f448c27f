import { createHash } from 'node:crypto';
import { makePackage, publishDocument } from '../../server/test/formats/npm-samples.ts';
import { multiplyVersions, versionAt } from '../../server/test/support/many-versions.ts';
import type { Context } from '../context.ts';
import {
  addWaits,
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
import { withWaits } from '../waits.ts';

const name = 'vast';
const abbreviated = 'application/vnd.npm.install-v1+json';
/** Answered from memory after the first time. */
const probe = '/artifactory/api/storage/generic-local/small';
/** What a version says of itself, at a usual length. */
const manifest = {
  description: 'A package that is released with every change of what it is made of.',
  license: 'MIT',
  keywords: ['one', 'two', 'three'],
  repository: { type: 'git', url: 'git+https://git.example.org/vast/vast.git' },
  engines: { node: '>=20' },
  scripts: { build: 'node build.js', test: 'node --test' },
  dependencies: Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`dependency-${i}`, `^${i}.0.0`])),
};

type Case = {
  readonly label: string;
  /** The repository whose document is read. */
  readonly key: string;
  readonly publishes?: true;
};

const cases: readonly Case[] = [
  { label: 'local', key: 'many-local', publishes: true },
  { label: 'remote', key: 'many-remote' },
  { label: 'virtual over two local ones', key: 'many', publishes: true },
  { label: 'virtual over the remote one', key: 'many-far' },
];

/** What a package of 20,000 versions costs those who read it, those who publish to it and everybody else. */
export async function measurePackument(ctx: Context): Promise<void> {
  if (ctx.options.subject !== 'entrepot') {
    console.log('  left out: only Entrepot has repositories of packages');
    return;
  }
  const versions = ctx.options.isQuick ? 4000 : 20_000;
  const upstream = await startUpstream(`/${name}`, upstreamDocument(versions), 'application/json');
  try {
    await onEachDatabase((place) => measureOn(ctx, place, { versions, upstream }));
  } finally {
    stopUpstream(upstream);
  }
}

function upstreamDocument(count: number): Buffer {
  const all = Array.from({ length: count }, (_, i) => versionAt(i));
  const entryOf = (version: string) => ({
    ...manifest,
    name,
    version,
    dist: {
      tarball: `https://npm.example/${name}/-/${name}-${version}.tgz`,
      shasum: createHash('sha1').update(version).digest('hex'),
      integrity: `sha512-${createHash('sha512').update(version).digest('base64')}`,
    },
  });
  const timeOf = (i: number) => new Date(Date.parse('2020-01-01') + i * 3_600_000).toISOString();
  return Buffer.from(
    JSON.stringify({
      name,
      'dist-tags': { latest: all.at(-1) },
      versions: Object.fromEntries(all.map((version) => [version, entryOf(version)])),
      time: Object.fromEntries(all.map((version, i) => [version, timeOf(i)])),
    }),
  );
}

type Content = {
  readonly versions: number;
  readonly upstream: Upstream;
};

async function measureOn(ctx: Context, place: Place, { versions, upstream }: Content): Promise<void> {
  await withFilledTarget(ctx, place, {
    name: 'packument',
    prepare: (target) => prepare(target, upstream),
    fill: (database) => multiplyVersions(database, name, versions),
    async measure(target) {
      await target.start();
      // The same package in another member, so that there is something to merge.
      await publish(target, 'many-more', '0.0.1');
      let published = 1;
      for (const { label, key, publishes } of cases) {
        for (const accept of [abbreviated, undefined]) {
          await startEmpty(target, probe);
          await measureDocument(ctx, target, {
            measure: 'packument',
            label: `${place.database}, ${label}, ${accept === undefined ? 'full' : 'abbreviated'}`,
            what: `document of ${versions} versions`,
            path: `/artifactory/api/npm/${key}/${name}`,
            probe,
            ...(accept !== undefined && { accept }),
            ...(publishes && {
              publish: { what: 'a version', send: () => publish(target, key, `1.0.${published++}`) },
            }),
          });
        }
      }
      for (const isAll of [false, true]) await measureDeprecation(ctx, target, { place, isAll });
    },
  });
}

/** As npm deprecates versions: it sends back the whole document, in which they say so. */
async function measureDeprecation(
  ctx: Context,
  target: Target,
  { place, isAll }: { readonly place: Place; readonly isAll: boolean },
): Promise<void> {
  const path = `/artifactory/api/npm/many-local/${name}`;
  const document = await readFull(target, path);
  const versions = Object.values(document.versions).slice(0, isAll ? undefined : 1);
  const message = isAll ? 'all are old' : 'this is old';
  for (const version of versions) version.deprecated = message;
  const body = Buffer.from(JSON.stringify(document));
  const { result, waits } = await withWaits(target, probe, () =>
    timed(() => ask(target, 'PUT', path, { body, type: 'application/json' })),
  );
  const what = `${versions.length} ${isAll ? 'versions are' : 'version is'} deprecated`;
  const label = `${place.database}, local: the longest request of others while ${what}`;
  addWaits(ctx, { measure: 'packument', label }, waits, result.ms);
  const after = await readFull(target, path);
  const said = Object.values(after.versions).filter(({ deprecated }) => deprecated === message);
  if (said.length !== versions.length) throw new Error(`${said.length} of ${versions.length} versions are deprecated`);
}

type FullDocument = { readonly versions: Readonly<Record<string, { deprecated?: string }>> };

async function readFull(target: Target, path: string): Promise<FullDocument> {
  const { body } = await ask(target, 'GET', `${path}?write=true`);
  return JSON.parse(String(body)) as FullDocument;
}

async function publish(target: Target, key: string, version: string): Promise<{ ms: number; seen: string }> {
  const body = Buffer.from(JSON.stringify(publishDocument(await makePackage(name, version, { manifest }))));
  const path = `/artifactory/api/npm/${key}/${name}`;
  const { ms } = await timed(() => ask(target, 'PUT', path, { body, type: 'application/json' }));
  return { ms, seen: `/${name}-${version}.tgz"` };
}

async function prepare(target: Target, { url }: Upstream): Promise<void> {
  const create = (key: string, settings: object) => createRepository(target, key, { packageType: 'npm', ...settings });
  await create('many-local', { rclass: 'local' });
  await create('many-more', { rclass: 'local' });
  await create('many-remote', { rclass: 'remote', url });
  await create('many', {
    rclass: 'virtual',
    repositories: ['many-local', 'many-more'],
    defaultDeploymentRepo: 'many-local',
  });
  await create('many-far', { rclass: 'virtual', repositories: ['many-remote'] });
  await ask(target, 'PUT', '/artifactory/generic-local/small', { body: Buffer.from('content') });
  await publish(target, 'many-local', '0.0.0');
}
