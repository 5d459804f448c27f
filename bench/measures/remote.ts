import { createHash, randomBytes } from 'node:crypto';
import { createServer, request, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres } from '../../server/test/support/postgres.ts';
import type { Context } from '../context.ts';
import { readMemory } from '../proc.ts';
import { spreadOf } from '../stats.ts';
import { createRepository } from '../targets/administration.ts';
import type { Target } from '../targets/target.ts';

const clients = 200;
const busyBarMb = 400;
const sampleMs = 100;
/** The content repeats a block whose length is a prime, so that bytes out of place are noticed without hashing. */
const blockBytes = 1_000_003;

type Upstream = { readonly server: Server; readonly url: string; readonly digest: string; requests: number };

/** 200 clients at once for the same large blob that is not kept yet, over two servers that share a database and a store. */
export async function measureRemote(ctx: Context): Promise<void> {
  if (ctx.options.subject !== 'entrepot') {
    console.log('  left out: only Entrepot is measured');
    return;
  }
  const sizeBytes = (ctx.options.isQuick ? 50 : 500) * 1_000_000;
  const block = randomBytes(blockBytes);
  const upstream = await startUpstream(block, sizeBytes);
  const postgres = await startPostgres({ fsync: true });
  const settings = {
    ENTREPOT_DATABASE__URL: await postgres.createDatabase(),
    ENTREPOT_REMOTES__ALLOWED_ADDRESSES: '127.0.0.0/8',
    ENTREPOT_ADMIN_PASSWORD: 'correct-horse-battery',
  };
  const first = ctx.createSubject('remote', settings);
  const second = ctx.createSubject('remote', settings);
  try {
    await first.reset();
    await second.start();
    await createRepository(first, 'far', { rclass: 'remote', packageType: 'docker', url: upstream.url });
    await sleep(2000);
    const watch = watchMemory([first, second]);
    const startedAt = performance.now();
    const path = `/v2/far/app/blobs/${upstream.digest}`;
    const outcomes = await Promise.allSettled(
      Array.from({ length: clients }, (_, i) => pull(i % 2 === 0 ? first : second, path, block)),
    );
    const seconds = (performance.now() - startedAt) / 1000;
    const peakMb = watch.stop();
    const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [String(outcome.reason)] : []));
    const short = outcomes.filter(
      ({ status, ...rest }) => status === 'fulfilled' && 'value' in rest && rest.value !== sizeBytes,
    );
    if (short.length > 0) errors.push(`${short.length} clients got another number of bytes`);
    const size = `${sizeBytes / 1_000_000} MB`;
    const gigabytes = (clients * sizeBytes) / 1e9;
    ctx.report.add({
      measure: 'remote',
      label: `${clients} clients at once for a cold blob of ${size}, two servers`,
      unit: 'GB/s',
      subject: spreadOf([gigabytes / seconds]),
      note: `${seconds.toFixed(1)} s until the last client had all of it`,
      errors,
    });
    ctx.report.add({
      measure: 'remote',
      label: 'requests to the upstream for it',
      unit: 'requests',
      subject: spreadOf([upstream.requests]),
      verdict: { wanted: '1', isMet: upstream.requests === 1 },
      errors: [],
    });
    ctx.report.add({
      measure: 'remote',
      label: 'peak resident memory of the larger server meanwhile',
      unit: 'MB',
      subject: spreadOf([peakMb]),
      verdict: { wanted: `≤ ${busyBarMb}`, isMet: peakMb <= busyBarMb },
      errors: [],
    });
  } finally {
    await first.stop();
    await second.remove();
    await postgres.stop();
    upstream.server.closeAllConnections();
    upstream.server.close();
  }
}

async function startUpstream(block: Buffer, sizeBytes: number): Promise<Upstream> {
  const hash = createHash('sha256');
  for (let at = 0; at < sizeBytes; at += block.length) hash.update(block.subarray(0, sizeBytes - at));
  const digest = `sha256:${hash.digest('hex')}`;
  const state = { requests: 0 };
  const server = createServer((asked, response) => {
    if (asked.url?.endsWith(`/blobs/${digest}`) !== true) {
      response.writeHead(404).end();
      return;
    }
    if (asked.method === 'GET') state.requests += 1;
    response.writeHead(200, { 'Content-Length': sizeBytes });
    let sent = 0;
    const more = () => {
      while (sent < sizeBytes) {
        const chunk = block.subarray(0, sizeBytes - sent);
        sent += chunk.length;
        if (!response.write(chunk)) {
          response.once('drain', more);
          return;
        }
      }
      response.end();
    };
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the upstream has no port');
  return {
    server,
    url: `http://127.0.0.1:${address.port}/`,
    digest,
    get requests() {
      return state.requests;
    },
  };
}

function authorization(): string {
  return `Basic ${Buffer.from('admin:correct-horse-battery').toString('base64')}`;
}

/** Reads the whole answer and compares it as it comes; resolves with its size. */
function pull(target: Target, path: string, block: Buffer): Promise<number> {
  const { host, port } = target.endpoint;
  return new Promise((resolve, reject) => {
    const headers = { authorization: authorization() };
    const asked = request({ host, port, path, headers, agent: false }, (response) => {
      let at = 0;
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
      response.on('data', (chunk: Buffer) => {
        for (let done = 0; done < chunk.length; ) {
          const from = at % block.length;
          const length = Math.min(chunk.length - done, block.length - from);
          if (chunk.compare(block, from, from + length, done, done + length) !== 0) reject(new Error('wrong bytes'));
          done += length;
          at += length;
        }
      });
      response.on('error', reject);
      response.on('end', () => resolve(at));
    });
    asked.on('error', reject);
    asked.end();
  });
}

function watchMemory(targets: readonly Target[]): { stop(): number } {
  let peakMb = 0;
  const look = () => {
    for (const { pid } of targets) peakMb = Math.max(peakMb, readMemory(pid).rssMb);
  };
  const timer = setInterval(look, sampleMs);
  return {
    stop() {
      clearInterval(timer);
      look();
      return peakMb;
    },
  };
}
