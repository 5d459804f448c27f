import { DatabaseSync } from 'node:sqlite';
import type { Context } from '../context.ts';
import { findDatabase } from '../fill.ts';
import { percentile, spreadOf } from '../stats.ts';
import type { Target } from '../targets/target.ts';
import { basicOf, withWaits } from '../waits.ts';

const repository = 'generic-local';
const requestBarMs = 50;
const pollMs = 100;

/** How long others wait while a very large folder is moved, copied and deleted; only Entrepot. */
export async function measureFolders(ctx: Context): Promise<void> {
  if (ctx.options.subject !== 'entrepot') {
    console.log('  left out: only Entrepot has folders');
    return;
  }
  const target = ctx.subject;
  const files = ctx.options.isQuick ? 20_000 : 100_000;
  try {
    await target.reset();
    await request(target, 'PUT', `/artifactory/${repository}/large/first`, 'content');
    await request(target, 'PUT', `/artifactory/${repository}/small/file`, 'content');
    await target.stop();
    fillFolder(target.dir, files);
    await target.start();
    // The first request with a password pays for its check, which is slow on purpose.
    await request(target, 'GET', `/artifactory/api/storage/${repository}/small/file`);
    const move = () => request(target, 'POST', `/artifactory/api/move/${repository}/large?to=/${repository}/moved`);
    await measure(ctx, `move of ${files} files`, move);
    const copy = () => request(target, 'POST', `/artifactory/api/copy/${repository}/moved?to=/${repository}/copied`);
    await measure(ctx, `copy of ${files} files`, copy);
    await measure(ctx, `deletion of ${files} files`, async () => {
      await request(target, 'DELETE', `/artifactory/${repository}/moved`);
      while (await isOperating(target)) await new Promise((resolve) => setTimeout(resolve, pollMs));
    });
  } finally {
    await target.remove();
  }
}

function fillFolder(dir: string, files: number): void {
  const db = new DatabaseSync(findDatabase(dir));
  try {
    const columns = db
      .prepare("select name from pragma_table_info('node') where name not in ('id', 'name')")
      .all()
      .map((row) => String(row['name']));
    db.prepare(
      `with recursive number (n) as (select 1 union all select n + 1 from number where n < ?)
       insert into node (name, ${columns.join(', ')})
       select printf('%08d', n), ${columns.join(', ')} from number, node where parent = 'large' and name = 'first'`,
    ).run(files - 1);
  } finally {
    db.close();
  }
}

/** Asks for a small file's description again and again while the work goes on. */
async function measure(ctx: Context, label: string, work: () => Promise<unknown>): Promise<void> {
  const startedAt = performance.now();
  const { waits } = await withWaits(ctx.subject, `/artifactory/api/storage/${repository}/small/file`, work);
  const seconds = (performance.now() - startedAt) / 1000;
  const { ms, longestMs } = waits;
  ctx.report.add({
    measure: 'folders',
    label: `the longest request during the ${label}`,
    unit: 'ms',
    subject: spreadOf([longestMs]),
    verdict: { wanted: `≤ ${requestBarMs} ms`, isMet: longestMs <= requestBarMs },
    note: `${ms.length} requests, p99 ${percentile(ms, 99).toFixed(1)} ms, number ${ms.indexOf(longestMs)} was the longest; it took ${seconds.toFixed(1)} s`,
    errors: [],
  });
}

async function isOperating(target: Target): Promise<boolean> {
  const { tasks } = (await (await request(target, 'GET', '/artifactory/api/tasks')).json()) as {
    tasks: { type: string }[];
  };
  return tasks.some(({ type }) => type === 'tree-operation');
}

async function request(target: Target, method: string, path: string, body?: string): Promise<Response> {
  const { host, port } = target.endpoint;
  const init = { method, headers: { authorization: basicOf(target) }, ...(body !== undefined && { body }) };
  const reply = await fetch(`http://${host}:${port}${path}`, init);
  if (!reply.ok) throw new Error(`${method} ${path} was answered ${reply.status}: ${await reply.text()}`);
  return reply;
}
