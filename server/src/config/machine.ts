/** What the programs of this machine are set to. They are asked without a shell, for a limited time, far from requests. */
import { spawn } from 'node:child_process';
import { access, constants, open, readdir, realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join, parse } from 'node:path';
import type { Machine } from '../core/public-upstream.ts';

const LIMIT_MS = 15_000;
const MAX_OUTPUT = 1024 * 1024;

/** What programs need and what sets package managers; nothing that is the server's own business. */
const PASSED =
  /^(PATH|HOME|USER|LOGNAME|LANG|LC_ALL|TMPDIR|TEMP|TMP|SystemRoot|USERPROFILE|APPDATA|LOCALAPPDATA|XDG_CONFIG_(HOME|DIRS)|JAVA_HOME|(M2|MAVEN)_HOME|(PYENV|NVM|VOLTA|ASDF)_\w+|VIRTUAL_ENV|PIP_\w+|npm_config_\w+)$/i;
/** A question about settings is no reason to look for news of the program. */
const QUIET = { PIP_DISABLE_PIP_VERSION_CHECK: '1', npm_config_update_notifier: 'false' };

export interface MachineOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends what runs. */
  readonly signal: AbortSignal;
  readonly node?: string;
  readonly limitMs?: number;
}

export function openMachine({ env, signal, node = process.execPath, limitMs = LIMIT_MS }: MachineOptions): Machine {
  const passed = Object.fromEntries(Object.entries(env).filter(([name]) => PASSED.test(name)));
  return {
    node,
    home: passed['HOME'] || passed['USERPROFILE'] || homedir(),
    env: passed,
    async locate(program) {
      for (const folder of (passed['PATH'] ?? '').split(delimiter)) {
        const path = await executable(join(folder, program));
        if (folder !== '' && path !== undefined) return path;
      }
      return undefined;
    },
    run: (program, args) => output(program, args, { env: { ...passed, ...QUIET }, signal, limitMs, node }),
    read,
    async list(folder) {
      try {
        return await readdir(folder);
      } catch {
        return [];
      }
    },
  };
}

async function executable(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.X_OK);
    return await realpath(path);
  } catch {
    return undefined;
  }
}

async function read(path: string, maxBytes: number): Promise<Buffer | undefined> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    return size > maxBytes ? undefined : await file.readFile();
  } catch {
    return undefined;
  }
}

interface RunOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly limitMs: number;
  readonly node: string;
}

async function output(
  program: string,
  args: readonly string[],
  { env, signal, limitMs, node }: RunOptions,
): Promise<string | undefined> {
  if (signal.aborted) return undefined;
  const child = spawn(program, args, {
    // Settings of a project that the server happens to be started in are not the machine's.
    cwd: parse(node).root,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
    // A group of its own, so that what it starts ends with it.
    detached: true,
    windowsHide: true,
  });
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const chunks: Buffer[] = [];
  let size = 0;
  const end = () => {
    endGroup(child.pid);
    // Who keeps the pipe open nevertheless is not waited for.
    child.stdout.destroy();
    resolve(undefined);
  };
  const timer = setTimeout(end, limitMs);
  signal.addEventListener('abort', end);
  child.stdout.on('error', () => undefined);
  child.stdout.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_OUTPUT) end();
  });
  child.once('error', () => resolve(undefined));
  child.once('close', (code) => resolve(code === 0 ? Buffer.concat(chunks).toString('utf8') : undefined));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  }
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
