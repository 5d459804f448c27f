import { Connection } from './load/connection.ts';
import type { Target } from './targets/target.ts';

const pauseMs = 2;

/** How long each request took that was made while something else went on. */
export type Waits = { readonly ms: readonly number[]; readonly longestMs: number };

/** Has the work done, and asks for something small again and again meanwhile, each time as soon as it was answered. */
export async function withWaits<T>(
  target: Target,
  path: string,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly waits: Waits }> {
  const { host, port } = target.endpoint;
  const connection = new Connection({ host, port });
  const head = `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nAuthorization: ${basicOf(target)}\r\n\r\n`;
  const ms: number[] = [];
  const ask = async () => {
    const from = performance.now();
    const { status } = await connection.exchange({ head });
    if (status !== 200) throw new Error(`GET ${path} was answered ${status}`);
    ms.push(performance.now() - from);
  };
  try {
    await ask();
    ms.length = 0;
    let isWorking = true;
    const worked = work().finally(() => {
      isWorking = false;
    });
    worked.catch(() => undefined);
    while (isWorking) {
      await ask();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    return { result: await worked, waits: { ms, longestMs: Math.max(...ms) } };
  } finally {
    connection.close();
  }
}

/** The credentials of the server's administrator, as a header has them. */
export function basicOf({ endpoint }: Target): string {
  const { user = '', password = '' } = endpoint.credentials ?? {};
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}
