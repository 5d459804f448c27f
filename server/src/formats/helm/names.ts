/** Names of charts and of the files they come in. */
import { type RepoPath, splitPath } from '../../core/ids.ts';
import { isWholeVersion, parseVersion } from './versions.ts';

/** The format's folder, in which nothing of a user's lies. */
export const FOLDER = '.helm';
export const INDEX_FILE = 'index.yaml';
export const INDEX = 'index';
/** Below it lies what an index links to at other servers. */
export const EXTERNAL = 'external';
export const PROVENANCE_ENDING = '.prov';
const ARCHIVE_ENDING = '.tgz';

const NAME = /^[a-z0-9][a-z0-9._-]*$/i;
const MAX_NAME = 200;
/** The name of a row lies in an index of the database, with the path behind the version. */
const MAX_ROW = 1200;

export function isChartName(text: string): boolean {
  return text.length <= MAX_NAME && NAME.test(text);
}

export interface ChartFile {
  readonly name: string;
  readonly version: string;
}

/** What the name of a file says it is: the first dash before a whole version divides, else the last before any. */
export function chartAt(path: RepoPath): ChartFile | undefined {
  const { name: filename } = splitPath(path);
  if (!filename.endsWith(ARCHIVE_ENDING)) return undefined;
  const stem = filename.slice(0, -ARCHIVE_ENDING.length);
  for (let dash = stem.indexOf('-'); dash > 0; dash = stem.indexOf('-', dash + 1)) {
    const [name, version] = [stem.slice(0, dash), stem.slice(dash + 1)];
    if (isWholeVersion(version) && isChartName(name)) return { name, version };
  }
  const dash = stem.lastIndexOf('-');
  const [name, version] = [stem.slice(0, Math.max(dash, 0)), stem.slice(dash + 1)];
  return parseVersion(version) && isChartName(name) ? { name, version } : undefined;
}

export function isArchive(path: string): boolean {
  return path.endsWith(ARCHIVE_ENDING);
}

/** The path of the chart that a provenance file belongs to. */
export function chartOf(path: RepoPath): RepoPath | undefined {
  if (!path.endsWith(`${ARCHIVE_ENDING}${PROVENANCE_ENDING}`)) return undefined;
  return path.slice(0, -PROVENANCE_ENDING.length) as RepoPath;
}

export function fileNameOf({ name, version }: ChartFile): string {
  return `${name}-${version}${ARCHIVE_ENDING}`;
}

/** The name of a file's row within its chart: one of a release may lie at several paths. Undefined for longer paths. */
export function rowName(chart: ChartFile, path: RepoPath): string | undefined {
  if (path === fileNameOf(chart)) return chart.version;
  const row = `${chart.version}/@/${path}`;
  return Buffer.byteLength(row) > MAX_ROW ? undefined : row;
}
