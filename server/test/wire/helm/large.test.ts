/** An index of 50,000 charts: how long it takes to serve, to know of a new chart, and others to be let in between. */
import assert from 'node:assert/strict';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { sql } from 'kysely';
import { type Index, makeChart, put } from '../../formats/helm-samples.ts';
import type { Answer } from '../../support/test-app.ts';
import { LOCAL, startHelm } from './helm-world.ts';

const NAMES = 5000;
const VERSIONS = 10;
/** Rows of so many charts, all of them of the same bytes. */
async function fill(world: Awaited<ReturnType<typeof startHelm>>): Promise<void> {
  const db = world.database.kysely;
  const seed = await db
    .selectFrom('package_version')
    .innerJoin('node', 'node.id', 'package_version.node_id')
    .selectAll('node')
    .select('package_version.metadata')
    .where('package_version.name', '=', 'seed')
    .executeTakeFirstOrThrow();
  const { id: _id, metadata, ...node } = seed;
  const release = JSON.parse(metadata) as { chart: Record<string, unknown> };
  for (let i = 0; i < NAMES; i += 10) {
    await db.transaction().execute(async (tx) => {
      for (let j = i; j < i + 10; j++) {
        const name = `chart-${j}`;
        const files = Array.from({ length: VERSIONS }, (_, v) => ({
          ...node,
          name: `${name}-1.${v}.0.tgz`,
          package: name,
        }));
        const rows = await tx.insertInto('node').values(files).returning(['id', 'name']).execute();
        const versions = rows.map((row, v) => ({
          node_id: row.id,
          repo_id: node.repo_id,
          name,
          version: `1.${v}.0`,
          metadata: JSON.stringify({ version: `1.${v}.0`, chart: { ...release.chart, name, version: `1.${v}.0` } }),
          created_at: node.created_at,
        }));
        await tx.insertInto('package_version').values(versions).execute();
      }
    });
  }
  await sql`analyze`.execute(db);
}

test('an index of 50,000 charts', { timeout: 300_000 }, async (t) => {
  const world = await startHelm('sqlite-fs');
  try {
    const seed = await makeChart({
      name: 'seed',
      lines: ['description: A chart that stands for many others', 'appVersion: "1.2"', 'keywords: [one, two]'],
    });
    assert.equal((await put(world.as('writer'), LOCAL, seed.filename, seed.bytes)).status, 201);
    await fill(world);
    await world.app.restart();
    const path = `/artifactory/api/helm/${LOCAL}/index.yaml`;
    const read = () => world.as('reader').request('GET', path, { headers: { 'accept-encoding': 'gzip' } });
    const timed = async (work: () => Promise<Answer>) => {
      const start = performance.now();
      const answer = await work();
      return { answer, ms: performance.now() - start };
    };
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const cold = await timed(read);
    const coldDelay = delay.max / 1e6;
    assert.equal(cold.answer.status, 200);
    const index = JSON.parse(gunzipSync(cold.answer.bytes).toString()) as Index;
    assert.equal(Object.keys(index.entries).length, NAMES + 1);
    assert.equal(Object.values(index.entries).flat().length, NAMES * VERSIONS + 1);
    const warm = [];
    for (let i = 0; i < 20; i++) warm.push((await timed(read)).ms);
    warm.sort((a, b) => a - b);
    const published: number[] = [];
    delay.reset();
    for (let i = 0; i < 5; i++) {
      const chart = await makeChart({ name: `chart-${i * 700}`, version: `2.${i}.0` });
      const { ms } = await timed(async () => {
        assert.equal((await put(world.as('writer'), LOCAL, chart.filename, chart.bytes)).status, 201);
        return read();
      });
      published.push(ms);
    }
    const publishDelay = delay.max / 1e6;
    delay.disable();
    const after = JSON.parse(gunzipSync((await read()).bytes).toString()) as Index;
    assert.equal(after.entries['chart-700']?.[0]?.version, '2.1.0');
    const median = warm[10] ?? 0;
    const rounded = (ms: number) => Math.round(ms * 10) / 10;
    t.diagnostic(
      `cold ${rounded(cold.ms)} ms (others waited ${rounded(coldDelay)} ms), warm ${rounded(median)} ms, published ${published.map(rounded).join(', ')} ms (others waited ${rounded(publishDelay)} ms)`,
    );
  } finally {
    await world.stop();
  }
});
