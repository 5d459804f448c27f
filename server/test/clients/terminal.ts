import { spawn, spawnSync } from 'node:child_process';

/** What is typed when the client asks for it. */
export interface Answer {
  readonly prompt: RegExp;
  readonly answer: string;
}

export interface TerminalOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** In the order in which it asks. */
  readonly answers: readonly Answer[];
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 60_000;

/** Why nothing can be run in a terminal here. */
export function findReasonForNoTerminal(): string | undefined {
  const { stdout } = spawnSync('script', ['--version'], { encoding: 'utf8' });
  return /util-linux/.test(stdout ?? '') ? undefined : 'needs the command script of util-linux, for a terminal';
}

/** Runs a command in a terminal, for clients that ask there; answers how it ended and all that was to be seen. */
export async function runInTerminal(
  file: string,
  args: readonly string[],
  { cwd, env, answers, timeoutMs = defaultTimeoutMs }: TerminalOptions,
): Promise<{ readonly code: number; readonly seen: string }> {
  const command = [file, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const child = spawn('script', ['--quiet', '--return', '--echo', 'never', '--command', command, '/dev/null'], {
    cwd,
    env: { ...process.env, SHELL: '/bin/sh', TERM: 'dumb', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const waiting = [...answers];
  let seen = '';
  let unanswered = '';
  const see = (chunk: Buffer) => {
    seen += chunk.toString();
    unanswered += chunk.toString();
    const [next] = waiting;
    if (!next?.prompt.test(unanswered)) return;
    waiting.shift();
    unanswered = '';
    child.stdin.write(`${next.answer}\r`);
  };
  child.stdout.on('data', see);
  child.stderr.on('data', see);
  child.stdin.on('error', () => undefined);
  let isTimedOut = false;
  // The command ends with its terminal.
  const timer = setTimeout(() => {
    isTimedOut = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  try {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? -1));
    const code = await promise;
    const asked = waiting.length === 0 ? '' : `; it never asked for ${String(waiting[0]?.prompt)}`;
    if (isTimedOut) throw new Error(`${command} did not end within ${timeoutMs} ms${asked}\n${seen}`);
    if (waiting.length > 0) throw new Error(`${command} ended with code ${code}${asked}\n${seen}`);
    return { code, seen };
  } finally {
    clearTimeout(timer);
    child.stdin.destroy();
  }
}
