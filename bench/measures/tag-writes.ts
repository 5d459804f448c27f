import type { Context } from '../context.ts';
import { type ImageRef, manifestType } from '../load/image.ts';
import { Session } from '../load/session.ts';
import { percentile, spreadOf } from '../stats.ts';
import type { Target } from '../targets/target.ts';

const writes = 20;
const movingTag = 'moving';

type Latencies = { readonly overwrite: readonly number[]; readonly remove: readonly number[] };

/** How long moving a tag to another manifest and deleting a tag take, on the filled server and on the empty one. */
export async function measureTagWrites(
  ctx: Context,
  images: ReadonlyMap<Target, readonly ImageRef[]>,
  slowestMs: number,
): Promise<void> {
  const subject = await writeTags(ctx.subject, images.get(ctx.subject) ?? []);
  const baseline = await writeTags(ctx.baseline, images.get(ctx.baseline) ?? []);
  for (const [kind, label] of [
    ['overwrite', 'tag moved to another manifest'],
    ['remove', 'tag deleted'],
  ] as const) {
    const p95 = percentile(subject[kind], 95);
    ctx.report.add({
      measure: 'scale',
      label: `${label} (baseline: empty)`,
      unit: 'ms',
      subject: spreadOf(subject[kind]),
      baseline: spreadOf(baseline[kind]),
      verdict: { wanted: `p95 < ${slowestMs} ms`, isMet: p95 < slowestMs },
      note: `p95 ${p95.toFixed(1)} ms`,
      errors: [],
    });
  }
}

async function writeTags(target: Target, images: readonly ImageRef[]): Promise<Latencies> {
  const [repository] = images.map((image) => image.repository);
  if (repository === undefined) throw new Error(`${target.name} has no images`);
  const session = new Session(target.endpoint);
  try {
    await session.login(repository);
    const bodies: Buffer[] = [];
    for (const image of images) {
      const path = `/v2/${repository}/manifests/${image.manifestDigest}`;
      const reply = await session.send({ ...session.prepare('GET', path), keepsBody: true }, 200);
      if (reply.body !== undefined) bodies.push(reply.body);
    }
    const put = async (tag: string, index: number) => {
      const body = bodies[index % bodies.length] ?? Buffer.alloc(0);
      const headers = [`Content-Type: ${manifestType}`, `Content-Length: ${body.length}`];
      await session.send(
        { head: session.head('PUT', `/v2/${repository}/manifests/${tag}`, headers), body: [body] },
        201,
      );
    };
    const overwrite: number[] = [];
    const remove: number[] = [];
    await put(movingTag, 0);
    for (let index = 0; index < writes; index++) {
      overwrite.push(await clock(() => put(movingTag, index + 1)));
      const tag = `gone-${index}`;
      await put(tag, index);
      const head = session.head('DELETE', `/v2/${repository}/manifests/${tag}`, ['Content-Length: 0']);
      remove.push(await clock(() => session.send({ head }, 202)));
    }
    return { overwrite, remove };
  } finally {
    session.close();
  }
}

async function clock(run: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await run();
  return performance.now() - startedAt;
}
