/** Runs the server until it is told to stop. */
import { flushCompileCache } from 'node:module';
import { resolve } from 'node:path';
import pino from 'pino';
import { type RunningApp, startApp } from '../app.ts';
import type { Config } from '../config/load.ts';
import { readConfig } from './settings.ts';

/** Lines that cannot be written are dropped beyond this, so that a stalled reader never stops a request. */
const MAX_LOG_BUFFER = 16 * 1024 * 1024;

export async function serve(): Promise<void> {
  const startedAt = performance.now();
  const config = readConfig();
  const destination = pino.destination({ dest: 1, sync: false, minLength: 4096, maxLength: MAX_LOG_BUFFER });
  const flushing = setInterval(() => destination.flush(), 500);
  flushing.unref();
  const log = pino({ level: config.log.level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  const app = await startApp(config, log);
  // A server that is killed later leaves the cache for the next start all the same.
  flushCompileCache();

  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) process.exit(1);
    stopping = true;
    log.info({ signal }, 'stopping');
    app.stop().then(
      () => finish(0),
      (error: unknown) => {
        log.error({ err: error }, 'the server did not stop cleanly');
        finish(1);
      },
    );
  };
  const finish = (code: number) => {
    destination.flushSync();
    process.exit(code);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  const fatal = (error: unknown) => {
    log.error({ err: error }, 'an unexpected error ends the server');
    stop('error');
    setTimeout(() => finish(1), 5000).unref();
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  // Whoever reads that it is ready may stop it at once.
  announce(config, app, performance.now() - startedAt);
}

/** For the person at the terminal; everything after this is log lines. */
function announce(config: Config, { origin, generatedPassword }: RunningApp, tookMs: number): void {
  const lines = [
    `Entrepot is ready after ${(tookMs / 1000).toFixed(1)} s at ${origin}`,
    `Data lies in ${resolve(config.data.dir)}`,
  ];
  if (generatedPassword !== undefined) {
    lines.push(`First start: sign in as "admin" with the password ${generatedPassword} (it is shown only now)`);
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}
