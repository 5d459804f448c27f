import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { clientFolder, type InstalledClient } from './client-folder.ts';
import { runCommand } from './command.ts';
import type { ClientSource, DebianClient, UnpackedClient } from './versions.ts';

const limitMs = 10 * 60_000;
const env = { DEBIAN_FRONTEND: 'noninteractive' };

/** Installs the packages that the clients lack, in one go; answers why that failed, if it did. */
export async function installPackages(
  sources: readonly ClientSource[],
  report: (line: string) => void,
): Promise<string | undefined> {
  return await install([...new Set(sources.flatMap(missingPackages))], report);
}

/** Installs the package of each command that is not on PATH; answers why that failed, if it did. */
export async function installMissing(
  wanted: readonly { readonly command: string; readonly package: string }[],
  report: (line: string) => void,
): Promise<string | undefined> {
  const missing = wanted.filter(({ command }) => findOnPath(command) === undefined);
  return await install(
    missing.map((each) => each.package),
    report,
  );
}

async function install(packages: readonly string[], report: (line: string) => void): Promise<string | undefined> {
  if (packages.length === 0) return undefined;
  if (findOnPath('apt-get') === undefined) return 'this machine has no apt-get';
  if (process.getuid?.() !== 0) return 'installing its package needs root';
  report(`apt-get install ${packages.join(' ')}`);
  try {
    await runCommand('apt-get', ['update', '-q'], { env, timeoutMs: limitMs });
    const args = ['install', '-y', '-q', '--no-install-recommends', ...packages];
    await runCommand('apt-get', args, { env, timeoutMs: limitMs });
    return undefined;
  } catch (error) {
    return `its package could not be installed: ${error instanceof Error ? error.message.slice(-300) : error}`;
  }
}

/** Answers what became of an installed package's client, with the version it tells of itself. */
export async function probeDebian(source: DebianClient, problem: string | undefined): Promise<InstalledClient> {
  const path = findOnPath(source.command);
  if (path === undefined) return { state: 'absent', reason: problem ?? `${source.package} has no ${source.command}` };
  return { state: 'installed', path, version: await readVersion(path), installMs: 0 };
}

/** Unpacks a package into the client folder, once for all clients it holds. */
export async function unpackDebian(source: UnpackedClient, problem: string | undefined): Promise<InstalledClient> {
  const folder = unpackedFolder(source);
  const path = join(folder, source.file);
  const startedAt = performance.now();
  try {
    if (!existsSync(path)) await downloadAndUnpack(source.package, folder);
    const version = await readVersion(path);
    return { state: 'installed', path, version, installMs: Math.round(performance.now() - startedAt) };
  } catch (error) {
    const reason = error instanceof Error ? error.message.slice(-300) : String(error);
    return { state: 'absent', reason: problem ?? `its package could not be unpacked: ${reason}` };
  }
}

async function downloadAndUnpack(name: string, folder: string): Promise<void> {
  const scratch = `${folder}.${process.pid}`;
  await mkdir(scratch, { recursive: true });
  await runCommand('apt-get', ['download', '-q', name], { cwd: scratch, env, timeoutMs: limitMs });
  const archive = (await readdir(scratch)).find((file) => file.endsWith('.deb'));
  if (archive === undefined) throw new Error(`apt-get downloaded nothing for ${name}`);
  await runCommand('dpkg', ['-x', join(scratch, archive), join(scratch, 'unpacked')], { timeoutMs: limitMs });
  await rename(join(scratch, 'unpacked'), folder);
  await rm(scratch, { recursive: true });
}

function missingPackages(source: ClientSource): readonly string[] {
  if (source.kind !== 'debian' && source.kind !== 'unpacked') return [];
  if (source.kind === 'debian') {
    return findOnPath(source.command) === undefined ? [source.package, ...(source.with ?? [])] : [];
  }
  return existsSync(join(unpackedFolder(source), source.file)) ? [] : source.with;
}

function unpackedFolder(source: UnpackedClient): string {
  return join(clientFolder, 'unpacked', source.package);
}

async function readVersion(path: string): Promise<string> {
  const { stdout } = await runCommand(path, ['--version']);
  return /\d+\.\d+[\w.~+-]*/.exec(stdout)?.[0] ?? 'unknown';
}

function findOnPath(command: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, command))
    .find((candidate) => existsSync(candidate));
}
