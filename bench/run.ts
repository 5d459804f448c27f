// Compares Entrepot with Debian's docker-registry, side by side on the same disk. See the README beside this file.
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import type { Context } from './context.ts';
import { isInMemory } from './disk.ts';
import { readFacts } from './facts.ts';
import { LoadPool } from './load/pool.ts';
import { measureBlob } from './measures/blob.ts';
import { measureChartIndex } from './measures/chart-index.ts';
import { measureFolders } from './measures/folders.ts';
import { measureManifest } from './measures/manifest.ts';
import { measureMemory } from './measures/memory.ts';
import { measureBunInstall, measureNpmInstall, measurePnpmInstall } from './measures/npm-install.ts';
import { measureNpmPackuments } from './measures/npm-packuments.ts';
import { measurePackument } from './measures/packument.ts';
import { measurePull } from './measures/pull.ts';
import { measurePullThrough } from './measures/pullthrough.ts';
import { measurePush } from './measures/push.ts';
import { measurePypiSimple } from './measures/pypi-simple.ts';
import { measureRemote } from './measures/remote.ts';
import { measureSearch } from './measures/search.ts';
import { measureVirtual } from './measures/virtual.ts';
import { type MeasureName, type Options, parseOptions } from './options.ts';
import { Report } from './report.ts';
import { measureScale } from './scale.ts';
import { dockerRegistry, requireDockerRegistry } from './targets/docker-registry.ts';
import { entrepot } from './targets/entrepot.ts';
import { type Kind, Target } from './targets/target.ts';

const resultsDir = new URL('../results', import.meta.url).pathname;

const measures: Readonly<Record<MeasureName, (ctx: Context) => Promise<void>>> = {
  push: measurePush,
  pull: measurePull,
  blob: measureBlob,
  manifest: measureManifest,
  memory: measureMemory,
  scale: measureScale,
  folders: measureFolders,
  search: measureSearch,
  virtual: measureVirtual,
  remote: measureRemote,
  pullthrough: measurePullThrough,
  'npm-install': measureNpmInstall,
  'pnpm-install': measurePnpmInstall,
  'bun-install': measureBunInstall,
  'npm-packuments': measureNpmPackuments,
  packument: measurePackument,
  'chart-index': measureChartIndex,
  'pypi-simple': measurePypiSimple,
};

await main(parseOptions(process.env));

async function main(options: Options): Promise<void> {
  const baselineVersion = requireDockerRegistry();
  await mkdir(options.parentDir, { recursive: true });
  if (isInMemory(options.parentDir)) throw new Error('BENCH_DIR is in memory; a real disk is needed.');
  const rootDir = await mkdtemp(`${options.parentDir}/entrepot-bench-`);
  const facts = readFacts({ subject: options.subject, baseline: baselineVersion }, rootDir);
  const report = new Report();
  const pool = LoadPool.start(options.loaders);
  const targets: Target[] = [];
  const create = (name: string, kind: Kind) => {
    const target = new Target(kind, `${rootDir}/${name}`);
    targets.push(target);
    return target;
  };
  const subjectKind = (env?: NodeJS.ProcessEnv) =>
    options.subject === 'entrepot'
      ? entrepot({ nodeArgs: options.serverNodeArgs, memory: options.serverMemory }, env)
      : dockerRegistry;
  const ctx: Context = {
    options,
    pool,
    report,
    subject: create('subject', subjectKind()),
    baseline: create('baseline', dockerRegistry),
    createSubject: (name, env) => create(name, subjectKind(env)),
    createTarget: create,
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      for (const target of targets) target.kill();
      pool.stop();
      rmSync(rootDir, { recursive: true, force: true, maxRetries: 5 });
      process.exit(130);
    });
  }
  try {
    await runMeasures(ctx);
  } finally {
    for (const target of targets) await target.stop();
    pool.stop();
    await rm(rootDir, { recursive: true, force: true });
  }
  report.write(resultsDir, { facts, options });
  console.log(`\n${report.render(facts)}\nWritten to results/bench.md and results/bench.json.`);
  if (report.failures.length > 0) process.exitCode = 1;
}

async function runMeasures(ctx: Context): Promise<void> {
  for (const name of ctx.options.only) {
    const startedAt = performance.now();
    console.log(name);
    try {
      await measures[name](ctx);
    } catch (error) {
      // One measure that cannot run does not take the others' figures away.
      const message = error instanceof Error ? error.message : String(error);
      ctx.report.failures.push({ measure: name, message });
      console.log(`  failed: ${message}`);
    }
    console.log(`  ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
  }
}
