/** How sbt is run, so that it keeps what it fetches once for all tests, and what a test gives it for itself. */
import { join } from 'node:path';
import { clientFolder } from './client-folder.ts';

/** The environment of sbt for the tests of one client, which have the folder to themselves. */
export function sbtEnvironment(folder: string): Readonly<Record<string, string>> {
  const kept = (name: string) => join(clientFolder, 'sbt', name);
  return {
    JAVA_OPTS: [
      `-Dsbt.global.base=${kept('base')}`,
      `-Dsbt.boot.directory=${kept('boot')}`,
      `-Dsbt.ivy.home=${join(folder, 'ivy')}`,
      `-Dsbt.coursier.home=${kept('coursier')}`,
      '-Dsbt.server.autostart=false',
      '-Dsbt.color=false',
      '-Dsbt.supershell=false',
      '-Xmx900m',
    ].join(' '),
    COURSIER_CACHE: kept('cache'),
  };
}
