/** The configuration a command works with. */
import { readFileSync } from 'node:fs';
import { type Config, loadConfig } from '../config/load.ts';

/** From the environment and the file it names; throws a ConfigError that tells everything that is wrong with it. */
export function readConfig(): Config {
  return loadConfig(process.env, (path) => readFileSync(path, 'utf8'));
}
