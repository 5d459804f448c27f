import type { Context } from '../context.ts';
import type { Job } from '../load/protocol.ts';
import { type Index, type Place, type PythonWorld, withPythonWorld } from '../python/world.ts';
import { alternate, buildRow, measureJob, noteP99, renderClients } from '../rounds.ts';
import type { Target } from '../targets/target.ts';
import { warmUpMs } from './manifest.ts';

const measure = 'pypi-simple';
const pageBar = 5;
const noLimit = 10_000_000;
const clientCounts = [1, 10];

type Form = { readonly name: string; readonly accept: string; readonly mark: string };

/** The first is what pip sends, the second what older clients do. */
const json: Form = {
  name: 'JSON',
  accept: 'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01',
  mark: '"files"',
};
const html: Form = { name: 'HTML', accept: 'text/html', mark: '<a ' };

const places: readonly { readonly place: Place; readonly label: string }[] = [
  { place: 'local', label: 'uploaded files' },
  { place: 'remote', label: 'files of an upstream' },
  { place: 'virtual', label: 'both together' },
];

/** Pages of projects per second, of files that were uploaded and of files that an upstream has. */
export async function measurePypiSimple(ctx: Context): Promise<void> {
  if (ctx.options.subject !== 'entrepot') {
    console.log('  left out: only Entrepot is compared with other indexes');
    return;
  }
  await withPythonWorld(ctx, async (world) => {
    for (const { place, label } of places) {
      for (const form of [html, json]) {
        const pair = { label, form, subject: world.subject[place], baseline: world.devpi[place], bar: pageBar };
        await measurePair(ctx, world, pair);
      }
    }
    const folder = {
      label: 'uploaded files beside pypiserver',
      form: html,
      subject: world.subject.local,
      baseline: world.pypiserver,
    };
    await measurePair(ctx, world, folder);
  });
}

type Pair = {
  readonly label: string;
  readonly form: Form;
  readonly subject: Index;
  readonly baseline: Index;
  readonly bar?: number;
};

async function measurePair(outer: Context, world: PythonWorld, pair: Pair): Promise<void> {
  const { label, form, subject, baseline, bar } = pair;
  const ctx = { ...outer, subject: subject.target, baseline: baseline.target };
  const indexOf = (target: Target) => (target === subject.target ? subject : baseline);
  for (const index of [subject, baseline]) await requirePages(index, world, form);
  const jobFor = (target: Target, clients: number) => jobOf(ctx, indexOf(target), { world, form, clients });
  for (const target of [ctx.subject, ctx.baseline]) {
    await measureJob(ctx, target, { ...jobFor(target, 4), durationMs: warmUpMs / 2 });
  }
  for (const clients of clientCounts) {
    const samples = await alternate(ctx, { count: ctx.options.rounds, jobFor: (target) => jobFor(target, clients) });
    const row = buildRow(samples, {
      measure,
      label: `${form.name}, ${label}, ${renderClients(clients)}`,
      unit: 'req/s',
      figure: 'operationsPerSecond',
      cpuPer: 'operation',
      ...(bar !== undefined && { atLeast: bar }),
    });
    const size = `${world.projects.length} projects of ${world.filesEach} files`;
    ctx.report.add(noteP99(row, samples, `baseline: ${baseline.target.name}; ${size}`));
  }
}

/** Has every page made once; a fast page that lists nothing would be worth nothing. */
async function requirePages(index: Index, world: PythonWorld, { accept, mark }: Form): Promise<void> {
  const { host, port } = index.target.endpoint;
  for (const project of world.projects) {
    const answer = await fetch(`http://${host}:${port}${index.path}${project}/`, {
      headers: { accept, ...(index.authorization !== undefined && { authorization: index.authorization }) },
    });
    const text = await answer.text();
    const listed = new Set(text.match(/bench_\d+-1\.\d+-py3-none-any\.whl/g)).size;
    if (!answer.ok || !text.includes(mark) || listed !== world.filesEach) {
      throw new Error(`${index.target.name} answers ${answer.status} with ${listed} files of "${project}".`);
    }
  }
}

function jobOf(
  ctx: Context,
  { target, path, authorization }: Index,
  asked: { readonly world: PythonWorld; readonly form: Form; readonly clients: number },
): Job {
  const { host, port } = target.endpoint;
  return {
    endpoint: {
      host,
      port,
      namePrefix: '',
      credentials: undefined,
      ...(authorization !== undefined && { authorization }),
    },
    scenario: {
      kind: 'request',
      method: 'GET',
      paths: asked.world.projects.map((project) => `${path}${project}/`),
      headers: [`Accept: ${asked.form.accept}`, 'Accept-Encoding: gzip, deflate'],
    },
    clients: asked.clients,
    durationMs: ctx.options.roundMs,
    operationsPerClient: noLimit,
  };
}
