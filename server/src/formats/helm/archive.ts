/** Looking into the archives of charts. */
import { clip } from '../../core/ids.ts';
import { readArchive } from '../../lib/archives/archive.ts';
import { type ArchiveEntry, type ArchiveLimits, ArchiveProblem, type ByteSource } from '../../lib/archives/budget.ts';
import { type ChartMetadata, ChartProblem, MAX_YAML_BYTES, readChart } from './chart-yaml.ts';

/** Clients refuse what unpacks to more than some hundred megabytes. */
const LIMITS: ArchiveLimits = { maxEntries: 50_000, maxTotalBytes: 256 * 1024 * 1024, maxRatio: 200 };

/** What the chart says of itself. Throws a ChartProblem for what clients could not install. */
export async function readChartArchive(source: ByteSource): Promise<ChartMetadata> {
  await requireGzip(source);
  const files = new Map<string, Buffer>();
  try {
    for await (const entry of readArchive('tar.gz', source, LIMITS)) {
      const [folder = '', file, ...deeper] = pathOf(entry.name);
      if (deeper.length > 0 || (file !== 'Chart.yaml' && file !== 'requirements.yaml')) continue;
      if (entry.type !== 'file') throw new ChartProblem(`"${clip(entry.name)}" in it is no file`);
      if (files.has(file)) throw new ChartProblem(`it has a second ${file}, in the folder "${clip(folder)}"`);
      files.set(file, await bytesOf(entry, file));
    }
  } catch (error) {
    if (error instanceof ArchiveProblem) throw new ChartProblem(error.message, { cause: error });
    throw error;
  }
  const chart = files.get('Chart.yaml');
  if (!chart) throw new ChartProblem('it has no file "Chart.yaml" in its one folder');
  return readChart(chart, files.get('requirements.yaml'));
}

/** The segments of a name; names that lead out of the folder of the chart are refused, as clients do. */
function pathOf(name: string): readonly string[] {
  const plain = name.replace(/^(?:\.\/)+/, '').replaceAll('\\', '/');
  const segments = plain.split('/');
  if (plain.startsWith('/') || /^[a-z]:/i.test(plain) || segments.includes('..')) {
    throw new ChartProblem(`the name "${clip(name)}" in it leads out of the chart`);
  }
  return segments;
}

async function bytesOf(entry: ArchiveEntry, file: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of await entry.open()) {
    size += chunk.length;
    if (size > MAX_YAML_BYTES) throw new ChartProblem(`its ${file} is larger than ${MAX_YAML_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function requireGzip(source: ByteSource): Promise<void> {
  if (source.size < 2) throw new ChartProblem('it is empty');
  const head = Buffer.concat(await Array.fromAsync(await source.open({ start: 0, end: 1 })));
  if (head[0] !== 0x1f || head[1] !== 0x8b) throw new ChartProblem('it is not compressed with gzip');
}
