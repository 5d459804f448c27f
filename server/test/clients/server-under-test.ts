import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startDaemon } from './daemon.ts';
import { openStorage, type StorageName } from './storage.ts';

const repositoryRoot = resolve(import.meta.dirname, '../../..');

export interface ServerUnderTest extends AsyncDisposable {
  /** What the tests are given as ENTREPOT_TEST_TARGET. */
  readonly targetUrl: string;
  readonly logPath: string;
}

/** Starts a fresh Entrepot on a free port of the loopback address; disposing of it removes all it stored. */
export async function startServer(
  storageName: StorageName,
  label = `clients-${storageName}`,
): Promise<ServerUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-server-'));
  const logs = join(repositoryRoot, 'results');
  await mkdir(logs, { recursive: true });
  const logPath = join(logs, `${label}.server.log`);
  await rm(logPath, { force: true });

  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(async () => await rm(folder, { recursive: true, force: true }));
  const storage = cleanup.use(await openStorage(storageName));
  const password = randomBytes(12).toString('hex');
  const port = await findFreePort();
  cleanup.use(
    await startDaemon(process.execPath, [join(repositoryRoot, 'server/src/main.ts'), 'serve'], {
      cwd: repositoryRoot,
      logPath,
      env: {
        ...withoutOwnSettings(),
        ...storage.env,
        ENTREPOT_HTTP__HOST: '127.0.0.1',
        ENTREPOT_HTTP__PORT: String(port),
        ENTREPOT_DATA__DIR: folder,
        ENTREPOT_ADMIN_PASSWORD: password,
        ENTREPOT_BOOTSTRAP: 'minimal',
        ...patientWithFailures,
        ENTREPOT_DOCKER__MIRRORS: `${MIRRORED}=docker-local`,
        // Upstreams of the tests are on this machine, and some networks reach the outside by addresses that are nobody's.
        ENTREPOT_REMOTES__ALLOWED_ADDRESSES: '127.0.0.0/8,192.0.2.0/24,198.51.100.0/24,203.0.113.0/24',
      },
      isReady: async () => await answersOk(`http://127.0.0.1:${port}/artifactory/api/v1/system/readiness`),
    }),
  );
  const owned = cleanup.move();
  return {
    targetUrl: `http://admin:${password}@127.0.0.1:${port}/docker-local`,
    logPath,
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  };
}

/** A registry that nobody has, and that the server says it is a mirror of. */
export const MIRRORED = 'mirrored.example';

/** Every client tries a wrong password once, which together looks like somebody guessing. */
const patientWithFailures = {
  ENTREPOT_SECURITY__THROTTLE__SOURCE_FAILURES: '10000',
  ENTREPOT_SECURITY__THROTTLE__ADDRESS_FAILURES: '10000',
  ENTREPOT_SECURITY__THROTTLE__ACCOUNT_FAILURES: '10000',
  ENTREPOT_SECURITY__THROTTLE__ACCOUNT_HARD_STOP: '10000',
};

/** The server refuses settings it does not know, among them those of this suite; and it must not take the machine's. */
function withoutOwnSettings(): Record<string, undefined> {
  const names = Object.keys(process.env).filter((name) => name.startsWith('ENTREPOT_'));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

export async function answersOk(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    // Nothing listens yet; the caller limits how long that may last.
    return false;
  }
}

export async function findFreePort(): Promise<number> {
  const { promise, resolve: found, reject } = Promise.withResolvers<number>();
  const probe = createServer();
  probe.once('error', reject);
  probe.listen(0, '127.0.0.1', () => {
    const address = probe.address();
    probe.close(() => found(typeof address === 'object' && address !== null ? address.port : 0));
  });
  return await promise;
}
