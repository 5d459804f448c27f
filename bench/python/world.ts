import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fieldsOf, formOf, type Sample, wheelOf } from '../../server/test/formats/pypi-samples.ts';
import type { Context } from '../context.ts';
import { createRepository, createToken } from '../targets/administration.ts';
import { devpiServer, pypiserver } from '../targets/python-servers.ts';
import type { Target } from '../targets/target.ts';

/** Longer than any run, so that nothing that was fetched once is asked for again. */
const freshSeconds = 86_400;
const password = 'correct-horse-battery';
const uploadsAtOnce = 4;
const packageType = 'pypi';

/** An index: the server, the path before a project's name, and what its clients send to be let in. */
export type Index = {
  readonly target: Target;
  readonly path: string;
  readonly authorization?: string;
};

/** The same projects in three servers: uploaded to two of them, and fetched by these from the third. */
export type PythonWorld = {
  readonly projects: readonly string[];
  readonly filesEach: number;
  /** What was uploaded, what was fetched, and both together. */
  readonly subject: Readonly<Record<Place, Index>>;
  readonly devpi: Readonly<Record<Place, Index>>;
  /** The folder of files that both fetch from. */
  readonly pypiserver: Index;
};

export type Place = 'local' | 'remote' | 'virtual';

/** Starts the servers, fills them, runs the function and stops them. */
export async function withPythonWorld(ctx: Context, run: (world: PythonWorld) => Promise<void>): Promise<void> {
  const counts = ctx.options.isQuick ? { projects: 10, files: 10 } : { projects: 25, files: 30 };
  const subject = ctx.createSubject('python', {
    ENTREPOT_ADMIN_PASSWORD: password,
    ENTREPOT_REMOTES__ALLOWED_ADDRESSES: '127.0.0.0/8',
  });
  const folder = join(dirname(subject.dir), 'python-files');
  const devpi = ctx.createTarget('devpi', await devpiServer(password));
  const upstream = ctx.createTarget('pypiserver', await pypiserver(folder));
  try {
    const samples = await makeSamples(counts);
    await mkdir(folder, { recursive: true });
    for (const { filename, bytes } of samples) await writeFile(join(folder, filename), bytes);
    for (const target of [upstream, subject, devpi]) await target.reset();
    const files = { target: upstream, path: '/simple/' };
    await run({
      projects: [...new Set(samples.map(({ project }) => project))],
      filesEach: counts.files,
      subject: await fillSubject(subject, samples, originOf(upstream)),
      devpi: await fillDevpi(devpi, samples, originOf(upstream)),
      pypiserver: files,
    });
  } finally {
    for (const target of [subject, devpi, upstream]) await target.remove();
  }
}

async function makeSamples(counts: { readonly projects: number; readonly files: number }): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let project = 0; project < counts.projects; project++) {
    for (let file = 0; file < counts.files; file++) {
      samples.push(await wheelOf({ name: `bench-${project}`, version: `1.${file}`, requiresPython: '>=3.8' }));
    }
  }
  return samples;
}

async function fillSubject(
  target: Target,
  samples: readonly Sample[],
  upstream: string,
): Promise<PythonWorld['subject']> {
  const keys = { local: 'bench-py-local', remote: 'bench-py-remote', virtual: 'bench-py' };
  await createRepository(target, keys.local, { packageType, rclass: 'local' });
  const remote = { packageType, rclass: 'remote', url: upstream, retrievalCachePeriodSecs: freshSeconds };
  await createRepository(target, keys.remote, remote);
  const repositories = [keys.local, keys.remote];
  // The names are local and the upstream's at once, which is otherwise guarded against.
  const virtual = { packageType, rclass: 'virtual', repositories, localNameShadowing: 'off' };
  await createRepository(target, keys.virtual, virtual);
  const authorization = `Basic ${Buffer.from(`admin:${await createToken(target)}`).toString('base64')}`;
  const indexOf = (key: string): Index => ({ target, path: `/artifactory/api/pypi/${key}/simple/`, authorization });
  await uploadAll(samples, `${originOf(target)}/artifactory/api/pypi/${keys.local}/`, { authorization });
  return { local: indexOf(keys.local), remote: indexOf(keys.remote), virtual: indexOf(keys.virtual) };
}

async function fillDevpi(target: Target, samples: readonly Sample[], upstream: string): Promise<PythonWorld['devpi']> {
  const origin = originOf(target);
  const login = await ask(`${origin}/+login`, 'POST', { user: 'root', password }, {});
  const { result } = (await login.json()) as { result: { password: string } };
  const headers = { 'x-devpi-auth': Buffer.from(`root:${result.password}`).toString('base64') };
  const create = async (name: string, settings: object) => {
    await ask(`${origin}/root/${name}`, 'PUT', settings, headers);
  };
  await create('mirror', { type: 'mirror', mirror_url: `${upstream}/simple/`, mirror_cache_expiry: freshSeconds });
  await create('own', { type: 'stage', bases: [], volatile: true });
  const bases = ['root/own', 'root/mirror'];
  await create('all', { type: 'stage', bases, mirror_whitelist: ['*'], volatile: true });
  await uploadAll(samples, `${origin}/root/own/`, headers);
  const indexOf = (name: string): Index => ({ target, path: `/root/${name}/+simple/` });
  return { local: indexOf('own'), remote: indexOf('mirror'), virtual: indexOf('all') };
}

async function uploadAll(samples: readonly Sample[], url: string, headers: Record<string, string>): Promise<void> {
  const left = [...samples];
  const work = async () => {
    for (let sample = left.pop(); sample !== undefined; sample = left.pop()) {
      const form = formOf(fieldsOf(sample));
      const answer = await fetch(url, {
        method: 'POST',
        headers: { ...headers, ...form.headers },
        body: new Uint8Array(form.body),
      });
      if (!answer.ok) throw new Error(`${sample.filename} was not taken: ${await answer.text()}`);
      await answer.body?.cancel();
    }
  };
  await Promise.all(Array.from({ length: uploadsAtOnce }, work));
}

async function ask(url: string, method: string, body: object, headers: Record<string, string>): Promise<Response> {
  const answer = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} ${url} answers ${answer.status}: ${await answer.text()}`);
  return answer;
}

function originOf({ endpoint }: Target): string {
  return `http://${endpoint.host}:${endpoint.port}`;
}
