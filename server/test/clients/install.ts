import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientFolder, type InstalledClient, installedPath } from './client-folder.ts';
import { runCommand } from './command.ts';
import { installPackages, probeDebian, unpackDebian } from './debian.ts';
import { type Go, requireGo } from './go-toolchain.ts';
import { installByMaven } from './maven-central.ts';
import { installNode } from './node-clients.ts';
import { installPython } from './python.ts';
import { type ClientName, type ClientSource, clientSources, type GoClient } from './versions.ts';

const buildTimeoutMs = 30 * 60_000;

/**
 * Installs every client that is missing and records what became of each.
 * A client that cannot be had does not fail the installation: its record says why, and its tests are skipped with that.
 */
export async function installClients(report: (line: string) => void): Promise<Record<ClientName, InstalledClient>> {
  await mkdir(join(clientFolder, 'bin'), { recursive: true });
  const names = Object.keys(clientSources) as ClientName[];
  const packageProblem = await installPackages(names.map(sourceOf), report);
  const go = await findGo(report);
  const installed: Partial<Record<ClientName, InstalledClient>> = {};
  for (const name of names) {
    const client = await installClient(name, { go, packageProblem });
    installed[name] = client;
    report(`${name}: ${client.state === 'installed' ? `${client.version}, ${client.installMs} ms` : client.reason}`);
  }
  await writeFile(installedPath, `${JSON.stringify(installed, undefined, 2)}\n`);
  // What Go keeps to build the same clients again is ten times their size.
  if (process.env['ENTREPOT_CLIENTS_KEEP_CACHE'] === undefined) await removeGoCaches();
  return installed as Record<ClientName, InstalledClient>;
}

interface Means {
  readonly go: Go | string;
  readonly packageProblem: string | undefined;
}

async function installClient(name: ClientName, { go, packageProblem }: Means): Promise<InstalledClient> {
  const source = sourceOf(name);
  switch (source.kind) {
    case 'debian':
      return await probeDebian(source, packageProblem);
    case 'unpacked':
      return await unpackDebian(source, packageProblem);
    case 'go':
      return await buildGo(name, source, go);
    case 'python':
      return await installPython(source);
    case 'npm':
      return await installNode(name, source);
    case 'maven':
      return await installByMaven(name, source);
  }
}

async function findGo(report: (line: string) => void): Promise<Go | string> {
  try {
    const go = await requireGo();
    report(`Go ${go.version} from ${go.origin}`);
    return go;
  } catch (error) {
    return `no Go to build it with: ${lastLine(error)}`;
  }
}

async function buildGo(name: ClientName, source: GoClient, go: Go | string): Promise<InstalledClient> {
  const path = join(clientFolder, 'bin', name);
  const stamp = `${path}.source.json`;
  const wanted = JSON.stringify(source);
  if (existsSync(path) && existsSync(stamp) && (await readFile(stamp, 'utf8')) === wanted) {
    return { state: 'installed', path, version: source.version, installMs: 0 };
  }
  if (typeof go === 'string') return { state: 'absent', reason: go };
  const startedAt = performance.now();
  try {
    await buildModule({ folder: join(clientFolder, 'modules', name), path, source, go });
    await writeFile(stamp, wanted);
  } catch (error) {
    await writeFile(join(clientFolder, `${name}.log`), String(error));
    return { state: 'absent', reason: `its build failed, see .clients/${name}.log: ${lastLine(error)}` };
  }
  return { state: 'installed', path, version: source.version, installMs: Math.round(performance.now() - startedAt) };
}

/**
 * Builds a program as the requirement of a module of ours. `go install module@version` asks for the list of the
 * module's versions first, which not every proxy serves, and refuses modules that carry `replace` lines.
 */
async function buildModule(build: { folder: string; path: string; source: GoClient; go: Go }): Promise<void> {
  const { folder, path, source, go } = build;
  // An older version's checksums and requirements must not take part in choosing versions.
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const goVersion = go.version.split('.').slice(0, 2).join('.');
  await writeFile(
    join(folder, 'go.mod'),
    `module entrepot.test/client\n\ngo ${goVersion}\n\nrequire ${source.module} ${source.version}\n`,
  );
  if (source.sums) await writeFile(join(folder, 'go.sum'), `${source.sums.join('\n')}\n`);
  if (source.program) {
    await writeFile(join(folder, 'main.go'), await readFile(join(import.meta.dirname, source.program)));
  } else {
    await writeFile(join(folder, 'tools.go'), `//go:build tools\n\npackage client\n\nimport _ "${source.package}"\n`);
  }
  const tags = source.tags === undefined ? [] : ['-tags', source.tags.join(',')];
  await runCommand(go.command, ['build', '-trimpath', '-ldflags=-s -w', ...tags, '-o', path, source.package], {
    cwd: folder,
    env: { ...go.env, CGO_ENABLED: '0' },
    timeoutMs: buildTimeoutMs,
  });
}

async function removeGoCaches(): Promise<void> {
  for (const name of ['gocache', 'gopath']) await rm(join(clientFolder, name), { recursive: true, force: true });
}

function sourceOf(name: ClientName): ClientSource {
  return clientSources[name];
}

function lastLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().split('\n').at(-1) ?? 'unknown';
}
