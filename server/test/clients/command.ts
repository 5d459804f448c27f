import { spawn } from 'node:child_process';

export interface CommandOptions {
  readonly cwd?: string;
  /** Added to the environment of the test process; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Written to standard input, which is closed afterwards. */
  readonly input?: string | Buffer;
  /** How standard output is read; `latin1` keeps every byte. */
  readonly encoding?: 'utf8' | 'latin1';
  readonly timeoutMs?: number;
}

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
  readonly durationMs: number;
}

const defaultTimeoutMs = 60_000;
/** More than any client prints when it works; what it prints when it fails is cut to its end. */
const shownCharacters = 6_000;

/** Runs a command and answers whatever its exit code is. Throws when it cannot start or exceeds its time. */
export async function tryCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const startedAt = performance.now();
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    // A group of its own, so that a timeout ends the helpers a client starts as well.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A client that refuses its input closes the pipe early; its exit code tells what happened.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');

  let isTimedOut = false;
  const timer = setTimeout(() => {
    isTimedOut = true;
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, timeoutMs);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once('error', reject);
  child.once('close', (code) => resolve(code ?? -1));
  try {
    const code = await promise;
    const result: CommandResult = {
      stdout: Buffer.concat(stdout).toString(options.encoding ?? 'utf8'),
      stderr: Buffer.concat(stderr).toString(),
      code,
      durationMs: performance.now() - startedAt,
    };
    if (isTimedOut) throw new Error(renderFailure(`did not end within ${timeoutMs} ms`, file, args, result));
    return result;
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a command that must succeed; a failure shows the command with all it printed. */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const result = await tryCommand(file, args, options);
  if (result.code !== 0) throw new Error(renderFailure(`ended with code ${result.code}`, file, args, result));
  return result;
}

/** Runs a command that must fail and answers what it printed, both streams together. */
export async function failCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const result = await tryCommand(file, args, options);
  if (result.code === 0) throw new Error(renderFailure('succeeded but must fail', file, args, result));
  return `${result.stdout}\n${result.stderr}`;
}

function renderFailure(what: string, file: string, args: readonly string[], result: CommandResult): string {
  return [
    `${file} ${args.join(' ')}`,
    `  ${what} after ${Math.round(result.durationMs)} ms`,
    `stdout: ${result.stdout.slice(-shownCharacters)}`,
    `stderr: ${result.stderr.slice(-shownCharacters)}`,
  ].join('\n');
}
