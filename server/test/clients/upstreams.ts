import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Daemon, startDaemon } from './daemon.ts';
import { digestOf, type OciImage } from './oci-layout.ts';
import { basicAuthorization } from './registry-api.ts';
import { answersOk, findFreePort, startServer } from './server-under-test.ts';
import { requireTarget } from './target.ts';

/** A registry that remote repositories of the server under test stand for. */
export interface UpstreamRegistry extends AsyncDisposable {
  readonly name: string;
  /** What a remote repository is given. */
  readonly settings: Readonly<Record<string, string>>;
  push(name: string, tag: string, image: OciImage): Promise<void>;
  stop(): Promise<void>;
}

/** Another Entrepot, asked as one asks an Artifactory. */
export async function startEntrepotUpstream(): Promise<UpstreamRegistry> {
  const server = await startServer('sqlite-fs', 'clients-upstream');
  const url = new URL(server.targetUrl);
  const { username, password } = url;
  const authorization = basicAuthorization(username, password);
  const mount = `${url.origin}/v2/docker-local`;
  const stop = async () => await server[Symbol.asyncDispose]();
  return {
    name: 'Entrepot',
    settings: { url: `${url.origin}/artifactory/api/docker/docker-local`, username, password },
    push: async (name, tag, image) => await pushAll(`${mount}/${name}`, { authorization }, tag, image),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Debian's registry; undefined where it is not installed. */
export async function startDebianUpstream(): Promise<UpstreamRegistry | undefined> {
  if (spawnSync('docker-registry', ['--version']).status !== 0) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-upstream-'));
  await mkdir(join(folder, 'storage'));
  const port = await findFreePort();
  const origin = `http://127.0.0.1:${port}`;
  const configuration = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'storage') } },
    http: { addr: `127.0.0.1:${port}`, secret: 'tests' },
  };
  await writeFile(join(folder, 'config.yml'), JSON.stringify(configuration));
  const daemon: Daemon = await startDaemon('docker-registry', ['serve', join(folder, 'config.yml')], {
    logPath: join(folder, 'log'),
    isReady: async () => await answersOk(`${origin}/v2/`),
  });
  return {
    name: 'docker-registry',
    settings: { url: origin },
    push: async (name, tag, image) => await pushAll(`${origin}/v2/${name}`, {}, tag, image),
    stop: async () => await daemon.stop(),
    [Symbol.asyncDispose]: async () => {
      await daemon.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Makes a repository of the server under test. */
export async function createRepository(key: string, settings: Readonly<Record<string, unknown>>): Promise<void> {
  const { url, username, password } = requireTarget();
  const response = await fetch(new URL(`/artifactory/api/repositories/${key}`, url), {
    method: 'PUT',
    headers: { 'content-type': 'application/json', authorization: basicAuthorization(username, password) },
    body: JSON.stringify({ packageType: 'docker', ...settings }),
  });
  if (!response.ok) throw new Error(`The repository "${key}" was not made: ${await response.text()}`);
}

async function pushAll(base: string, headers: Record<string, string>, tag: string, image: OciImage): Promise<void> {
  const root = image.blobs.get(image.root.digest) ?? Buffer.from('');
  const { manifests = [] } = JSON.parse(root.toString()) as { manifests?: { digest: string; mediaType: string }[] };
  const children = new Map(manifests.map(({ digest, mediaType }) => [digest, mediaType]));
  for (const [digest, bytes] of image.blobs) {
    if (digest === image.root.digest || children.has(digest)) continue;
    const started = await send(`${base}/blobs/uploads/`, { method: 'POST', headers });
    const location = new URL(started.headers.get('location') ?? '', base);
    location.searchParams.set('digest', digest);
    const type = { 'content-type': 'application/octet-stream' };
    await send(location.href, { method: 'PUT', headers: { ...headers, ...type }, body: new Uint8Array(bytes) });
  }
  for (const [digest, mediaType] of children) {
    await putManifest(`${base}/manifests/${digest}`, headers, mediaType, image.blobs.get(digest) ?? Buffer.from(''));
  }
  await putManifest(`${base}/manifests/${tag}`, headers, image.root.mediaType, root);
  if (digestOf(root) !== image.root.digest) throw new Error('The image does not have the digest of its root.');
}

async function putManifest(url: string, headers: Record<string, string>, type: string, bytes: Buffer): Promise<void> {
  await send(url, { method: 'PUT', headers: { ...headers, 'content-type': type }, body: new Uint8Array(bytes) });
}

async function send(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(30_000) });
  if (!response.ok) throw new Error(`${url} answers ${response.status}: ${(await response.text()).slice(0, 300)}`);
  return response;
}
