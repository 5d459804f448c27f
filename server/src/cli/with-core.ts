/** Runs the work of a command over the data of a server, which may be running meanwhile. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Config } from '../config/load.ts';
import { AppError } from '../core/errors.ts';
import { type Core, type Log, openCore } from '../state.ts';
import { lockData } from './server-lock.ts';
import { readConfig } from './settings.ts';

export interface WithCoreOptions {
  /** Whether the database is made if there is none; a mistyped folder must not become a new server by accident. */
  readonly create?: boolean;
  /** Names a command that must not run beside a server over the same data folder. */
  readonly alone?: string;
}

/** Opens what holds state, runs `work` and closes it again. */
export async function withCore<T>(work: (core: Core) => Promise<T>, options: WithCoreOptions = {}): Promise<T> {
  const config = readConfig();
  if (!options.create) requireDatabase(config);
  const lock = options.alone === undefined ? undefined : await lockData(config, options.alone);
  try {
    const core = await openCore(config, LOG);
    try {
      await core.configuration.reload();
      await core.readOnly.reload();
      await core.repositories.reload();
      await core.permissions.refresh();
      return await work(core);
    } finally {
      await core.close();
    }
  } finally {
    await lock?.release();
  }
}

function requireDatabase(config: Config): void {
  const folder = resolve(config.data.dir);
  if (config.database.url || existsSync(join(folder, 'metadata.db'))) return;
  throw new AppError(
    'not_found',
    `There is no database in "${folder}". Name the folder with ENTREPOT_DATA__DIR, or make one with "entrepot migrate".`,
  );
}

const report = (fields: object, message: string) => {
  const error = 'err' in fields && fields.err instanceof Error ? `: ${fields.err.message}` : '';
  process.stderr.write(`${message}${error}\n`);
};
const LOG: Log = { debug() {}, info() {}, warn: report, error: report };
