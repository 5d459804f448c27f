/** What is kept of each chart: the row that indexes are built from, and the properties that people search. */
import { AppError } from '../../core/errors.ts';
import type { Incoming, Ingested } from '../../core/format.ts';
import { clip, joinPath, type Properties, type RepoPath, splitPath } from '../../core/ids.ts';
import { readChartArchive } from './archive.ts';
import { type ChartMetadata, ChartProblem } from './chart-yaml.ts';
import { chartOf, fileNameOf, isArchive, rowName } from './names.ts';
import { isStrictVersion } from './versions.ts';

/** The metadata of a `package_version` row. */
export interface ChartRelease {
  readonly version: string;
  /** As indexes repeat it. */
  readonly chart: ChartMetadata;
}

export const CHART_TYPE = 'application/gzip';
export const PROVENANCE_TYPE = 'application/pgp-signature';
const MAX_TEXT = 512;
const PROPERTIES = ['name', 'version', 'appVersion', 'apiVersion', 'type', 'kubeVersion', 'description'];

/** Charts put by plain path are indexed wherever they lie; what is none is kept, where the settings let it be. */
export async function ingest({ path, content, settings }: Incoming): Promise<Ingested> {
  if (chartOf(path) !== undefined) return { mediaType: PROVENANCE_TYPE };
  if (!isArchive(path)) return {};
  const forced = settings['forceMetadataNameVersion'] === true;
  let chart: ChartMetadata;
  try {
    chart = await readChartArchive(content);
  } catch (error) {
    if (!(error instanceof ChartProblem)) throw error;
    const problem = `"${clip(splitPath(path).name)}" is no chart: ${error.message}.`;
    if (forced) throw layoutError(problem);
    return { unindexed: problem };
  }
  if (forced) requireNamed(path, chart);
  return describeChart(path, chart, settings);
}

/** The row and the properties of a chart at the path. */
export function describeChart(path: RepoPath, chart: ChartMetadata, settings: Incoming['settings']): Ingested {
  const sole = settings['forceNonDuplicateChart'] === true;
  const version = sole ? chart.version : rowName(chart, path);
  if (version === undefined) return { unindexed: 'The path is too long for the chart to be indexed.' };
  const release: ChartRelease = { version: chart.version, chart };
  return {
    mediaType: CHART_TYPE,
    version: {
      package: chart.name,
      version,
      metadata: release,
      ...(sole && { sole: (other) => duplicate(chart, other) }),
    },
    properties: propertiesOf(chart),
  };
}

function propertiesOf(chart: ChartMetadata): Properties {
  const texts = PROPERTIES.flatMap((field) => {
    const text = chart[field];
    return typeof text === 'string' && text !== '' ? [[`chart.${field}`, [clip(text, MAX_TEXT)]] as const] : [];
  });
  return {
    ...Object.fromEntries(texts),
    ...(chart['deprecated'] === true && { 'chart.deprecated': ['true'] }),
  };
}

function requireNamed(path: RepoPath, chart: ChartMetadata): void {
  const { name } = splitPath(path);
  if (!isStrictVersion(chart.version)) {
    throw layoutError(`The version "${clip(chart.version)}" of the chart is no semantic version.`);
  }
  if (name === fileNameOf(chart)) return;
  throw layoutError(
    `The file is called "${clip(name)}", but its Chart.yaml says "${clip(chart.name)}" and "${clip(chart.version)}": call it "${clip(fileNameOf(chart))}".`,
  );
}

function layoutError(problem: string): AppError {
  return new AppError('forbidden', `The chart was refused by the Enforce Layout Policy of the repository. ${problem}`);
}

function duplicate(chart: ChartMetadata, other: RepoPath): string {
  return `The chart was refused by the Enforce Layout Policy of the repository: "${clip(chart.name)}" ${clip(chart.version)} is there already, at "${clip(joinPath(other), 300)}". Publish a new version instead.`;
}
