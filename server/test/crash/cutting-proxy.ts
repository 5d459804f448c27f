/** A proxy in front of PostgreSQL that cuts a connection right after a commit, before its client learns of it. */
import { connect, createServer, type Socket } from 'node:net';

export interface CuttingProxy {
  /** The database's address through the proxy. */
  readonly url: string;
  /** So many commits were done without an answer. */
  readonly cuts: number;
  /** Lets the n-th commit from here on reach the database, and cuts its answer; 0 for none. */
  cutCommit(nth: number): void;
  stop(): Promise<void>;
}

/** A simple query of the text "commit", as it goes over the wire. */
const COMMIT = Buffer.from('Q\0\0\0\x0bcommit\0');

export async function startCuttingProxy(url: string): Promise<CuttingProxy> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  let left = 0;
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    let isCut = false;
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.setNoDelay(true);
      one.on('error', () => undefined);
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    client.on('data', (chunk: Buffer) => {
      if (chunk.includes(COMMIT) && left > 0 && --left === 0) isCut = true;
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      if (!isCut) return void client.write(chunk);
      cuts += 1;
      client.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const through = new URL(url);
  through.port = String((server.address() as { port: number }).port);
  return {
    url: through.href,
    get cuts() {
      return cuts;
    },
    cutCommit(nth) {
      left = nth;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
