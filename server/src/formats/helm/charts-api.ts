/** What the protocol of ChartMuseum tells of charts, and how it removes them. */
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Repository } from '../../core/repository.ts';
import type { Chart, ChartEntry } from './chart.ts';
import { type ChartIndex, findChart } from './chart-index.ts';
import { targetOf } from './deposit.ts';
import { INDEX } from './names.ts';

const JSON_TYPE = { 'Content-Type': 'application/json' };

/** `GET api/charts`: all charts with their versions, or a page of them. */
export async function listCharts(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const index = await readIndex(repo);
  const offset = countOf(request, 'offset') ?? 0;
  const limit = countOf(request, 'limit') ?? Number.POSITIVE_INFINITY;
  return { status: 200, pieces: pages(index, offset, limit), headers: JSON_TYPE };
}

async function* pages(index: ChartIndex, offset: number, limit: number): AsyncGenerator<string> {
  let seen = 0;
  let sent = 0;
  yield '{';
  for (const { charts } of index.groups) {
    let text = '';
    for (const chart of charts) {
      seen += 1;
      if (seen <= offset || sent >= limit) continue;
      text += `${sent === 0 ? '' : ','}${JSON.stringify(chart.name)}:${listOf(chart)}`;
      sent += 1;
    }
    if (text !== '') yield text;
    if (sent >= limit) break;
  }
  yield '}';
}

function countOf({ query }: ProtocolRequest, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new AppError('invalid', `The parameter "${name}" must be a whole number.`);
  return Number(text);
}

/** `GET api/charts/<name>`: the versions of a chart. */
export async function getChart(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const chart = await requireChart(repo, request.params['name'] ?? '');
  return { status: 200, bytes: Buffer.from(listOf(chart)), headers: JSON_TYPE };
}

function listOf({ entries }: Chart): string {
  return `[${entries.map(({ json }) => json).join(',')}]`;
}

/** `GET api/charts/<name>/<version>`: a version of a chart, or the newest. */
export async function getVersion(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const entry = await requireEntry(repo, request);
  return { status: 200, bytes: Buffer.from(entry.json), headers: JSON_TYPE };
}

/** `DELETE api/charts/<name>/<version>`: removes a version with its provenance. */
export async function deleteVersion(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  const repo = await targetOf(context);
  const { path } = await requireEntry(repo, request);
  if (path === undefined || repo.rclass === 'remote') {
    throw new AppError('not_supported', 'Charts of an upstream cannot be deleted here.');
  }
  const gone = await repo.change(request.params['name'] ?? '', async (tree) => {
    const provenance = `${path}.prov` as typeof path;
    if (await tree.get(provenance)) await tree.delete(provenance);
    return tree.delete(path);
  });
  if (!gone) throw unknown(request.params['name'] ?? '');
  return { status: 200, json: { deleted: true } };
}

async function readIndex(repo: Repository): Promise<ChartIndex> {
  const held = await repo.document(INDEX, '');
  if (!held) throw new AppError('not_found', `The repository "${repo.key}" has no index.`);
  return (await held.read()) as unknown as ChartIndex;
}

async function requireChart(repo: Repository, name: string): Promise<Chart> {
  const chart = findChart(await readIndex(repo), name);
  if (!chart) throw unknown(name);
  return chart;
}

async function requireEntry(repo: Repository, { params }: ProtocolRequest): Promise<ChartEntry> {
  const { name = '', version = '' } = params;
  const { entries } = await requireChart(repo, name);
  const entry = version === 'latest' ? entries[0] : entries.find((each) => each.version === version);
  if (!entry) {
    throw new AppError('not_found', `There is no version "${clip(version)}" of the chart "${clip(name)}".`);
  }
  return entry;
}

function unknown(name: string): AppError {
  return new AppError('not_found', `There is no chart "${clip(name)}".`);
}
