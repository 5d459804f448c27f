/** What upstreams of Helm repositories are asked: their index, and the charts that it lists, wherever they are. */
import { createHash } from 'node:crypto';
import type { OpaqueDoc } from '../../core/document.ts';
import type { RepoPath } from '../../core/ids.ts';
import type { DocumentFetch, Fetch, Listed, RemoteFacts, RemoteRules } from '../../core/remote.ts';
import type { ChartEntry } from './chart.ts';
import type { ChartIndex } from './chart-index.ts';
import { CHART_TYPE, PROVENANCE_TYPE } from './ingest.ts';
import { chartAt, chartOf, EXTERNAL, FOLDER, INDEX, INDEX_FILE, isArchive, PROVENANCE_ENDING } from './names.ts';

/** Public indexes have some fifty megabytes. */
const MAX_INDEX_BYTES = 256 * 1024 * 1024;

export const remoteRules: RemoteRules = {
  fetch(wanted) {
    return 'path' in wanted && wanted.path !== '' ? fileFetch(wanted.path) : undefined;
  },
};

/** The index of the upstream. How it reads depends on settings that say which addresses are taken over. */
export function indexFetch({ settings }: RemoteFacts): DocumentFetch {
  const said = ['chartsBaseUrl', 'externalDependenciesEnabled', 'externalDependenciesPatterns'].map(
    (name) => settings[name] ?? null,
  );
  return {
    key: INDEX_FILE,
    path: `${FOLDER}/upstream.yaml` as RepoPath,
    ask: { path: INDEX_FILE },
    maxBytes: MAX_INDEX_BYTES,
    mediaType: 'application/octet-stream',
    variant: `.${createHash('sha256').update(JSON.stringify(said)).digest('hex').slice(0, 16)}`,
  };
}

/** A chart or its provenance: the index says where it is, and what its bytes must be. */
function fileFetch(path: RepoPath): Fetch | undefined {
  if (path === INDEX_FILE || path === FOLDER || path.startsWith(`${FOLDER}/`)) return undefined;
  const isElsewhere = path.startsWith(`${EXTERNAL}/`);
  const chart = chartOf(path) ?? path;
  const isChart = isArchive(chart);
  const name = chartAt(chart)?.name;
  return {
    key: path,
    path,
    ...(name !== undefined && { package: name }),
    ask: { path },
    mutable: !isChart && !isElsewhere,
    ...(isChart && { mediaType: chart === path ? CHART_TYPE : PROVENANCE_TYPE }),
    ...((isChart || isElsewhere) && { listed: { document: INDEX, name: '', find: finder(path, isElsewhere) } }),
  };
}

/** What the index does not list is asked for at its path, but nothing at other servers is. */
function finder(path: RepoPath, isElsewhere: boolean): Listed['find'] {
  const missing = isElsewhere ? undefined : {};
  return (document: OpaqueDoc) => {
    const entries = entriesByPath(document as unknown as ChartIndex);
    const entry = entries.get(path);
    if (entry) {
      return {
        ...(entry.link !== undefined && { link: new URL(entry.link) }),
        ...(entry.digest !== undefined && { digest: { algorithm: 'sha256' as const, hex: entry.digest } }),
      };
    }
    const of = path.endsWith(PROVENANCE_ENDING) && entries.get(path.slice(0, -PROVENANCE_ENDING.length) as RepoPath);
    if (!of) return missing;
    return of.link === undefined ? {} : { link: provenanceOf(of.link) };
  };
}

function provenanceOf(link: string): URL {
  const url = new URL(link);
  url.pathname += PROVENANCE_ENDING;
  return url;
}

const paths = new WeakMap<ChartIndex, ReadonlyMap<RepoPath, ChartEntry>>();

function entriesByPath(index: ChartIndex): ReadonlyMap<RepoPath, ChartEntry> {
  const known = paths.get(index);
  if (known) return known;
  const found = new Map<RepoPath, ChartEntry>();
  for (const { charts } of index.groups) {
    for (const { entries } of charts) {
      for (const entry of entries) if (entry.path !== undefined && !found.has(entry.path)) found.set(entry.path, entry);
    }
  }
  paths.set(index, found);
  return found;
}
