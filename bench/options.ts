import { availableParallelism } from 'node:os';

export const measureNames = [
  'push',
  'pull',
  'blob',
  'manifest',
  'memory',
  'scale',
  'folders',
  'search',
  'virtual',
  'remote',
  'pullthrough',
  'npm-install',
  'pnpm-install',
  'bun-install',
  'npm-packuments',
  'packument',
  'chart-index',
  'pypi-simple',
] as const;
export type MeasureName = (typeof measureNames)[number];

export type Options = {
  readonly only: readonly MeasureName[];
  readonly rounds: number;
  readonly roundMs: number;
  readonly isQuick: boolean;
  /** Where both servers keep what they store: a real disk, the same for both. */
  readonly parentDir: string;
  /** What is measured; `docker-registry` compares the baseline with itself and so shows the noise. */
  readonly subject: 'entrepot' | 'docker-registry';
  readonly loaders: number;
  readonly usesWrk: boolean;
  /** The measured server's `NODE_OPTIONS`, such as `--cpu-prof`. */
  readonly serverNodeArgs: readonly string[];
  /** The measured server's `ENTREPOT_MEMORY`. */
  readonly serverMemory: string;
};

/** Reads the `BENCH_*` variables; throws with the offending value. */
export function parseOptions(env: NodeJS.ProcessEnv): Options {
  const isQuick = env['BENCH_QUICK'] === '1';
  const subject = env['BENCH_SUBJECT'] ?? 'entrepot';
  if (subject !== 'entrepot' && subject !== 'docker-registry') {
    throw new Error(`BENCH_SUBJECT is "${subject}"; it is "entrepot" or "docker-registry".`);
  }
  return {
    only: parseOnly(env['BENCH_ONLY']),
    rounds: parsePositive(env, 'BENCH_ROUNDS') ?? (isQuick ? 2 : 5),
    roundMs: (parsePositive(env, 'BENCH_SECONDS') ?? (isQuick ? 0.5 : 1)) * 1000,
    isQuick,
    parentDir: env['BENCH_DIR'] ?? '/var/tmp',
    subject,
    loaders: parsePositive(env, 'BENCH_LOADERS') ?? Math.max(1, Math.min(4, Math.floor(availableParallelism() / 4))),
    usesWrk: env['BENCH_WRK'] === '1',
    serverNodeArgs: (env['BENCH_SERVER_NODE_ARGS'] ?? '').split(' ').filter((arg) => arg !== ''),
    serverMemory: env['BENCH_MEMORY'] ?? 'default',
  };
}

function parseOnly(value: string | undefined): readonly MeasureName[] {
  if (value === undefined || value === '') return measureNames;
  return value.split(',').map((name) => {
    const known = measureNames.find((measure) => measure === name.trim());
    if (known === undefined) throw new Error(`BENCH_ONLY names "${name}"; known are ${measureNames.join(', ')}.`);
    return known;
  });
}

function parsePositive(env: NodeJS.ProcessEnv, name: string): number | undefined {
  const value = env[name];
  if (value === undefined || value === '') return undefined;
  const number = Number(value);
  if (!(number > 0)) throw new Error(`${name} is "${value}"; it is a number above zero.`);
  return number;
}
