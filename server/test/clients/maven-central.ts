import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientFolder, type InstalledClient } from './client-folder.ts';
import { runCommand } from './command.ts';
import type { ClientName, MavenClient } from './versions.ts';

const limitMs = 10 * 60_000;
const DEPENDENCY_PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';

/** What Maven downloaded for itself, kept between runs; artifacts of the tests are taken out of it again. */
export const mavenDownloads = join(clientFolder, 'm2');

/** Has Maven fetch a client from where it looks by default, and makes it a program. */
export async function installByMaven(name: ClientName, source: MavenClient): Promise<InstalledClient> {
  const { coordinates, version, file } = source;
  const folder = join(clientFolder, 'maven', name);
  const startedAt = performance.now();
  const isJar = file.endsWith('.jar');
  const program = isJar ? join(folder, name) : join(folder, file);
  try {
    if (!existsSync(program)) {
      await mkdir(folder, { recursive: true });
      const goal = isJar ? 'copy' : 'unpack';
      const options = ['-q', '-B', `-Dmaven.repo.local=${mavenDownloads}`, `-Dartifact=${coordinates}`];
      await runCommand('mvn', [...options, `-DoutputDirectory=${folder}`, `${DEPENDENCY_PLUGIN}:${goal}`], {
        cwd: folder,
        timeoutMs: limitMs,
      });
      if (isJar) await writeFile(program, `#!/bin/sh\nexec java $JAVA_OPTS -jar '${join(folder, file)}' "$@"\n`);
      await chmod(program, 0o755);
    }
    return { state: 'installed', path: program, version, installMs: Math.round(performance.now() - startedAt) };
  } catch (error) {
    return {
      state: 'absent',
      reason: `Maven could not fetch it: ${String(error).trim().split('\n').at(-1)?.slice(-300)}`,
    };
  }
}
