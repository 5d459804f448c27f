/** The index as a document of a repository. */
import type { DocumentKind } from '../../core/document.ts';
import type { RepoPath } from '../../core/ids.ts';
import type { Chart, ChartEntry } from './chart.ts';
import { type ChartIndex, filterIndex, mergeIndexes } from './chart-index.ts';
import { buildIndex } from './local-index.ts';
import { fileNameOf, INDEX_FILE } from './names.ts';
import { indexFetch } from './remote.ts';
import { renderIndex } from './render.ts';
import { parseIndex } from './upstream-index.ts';

/** What lies elsewhere is judged as if it lay here. */
function pathOf({ path, version }: ChartEntry, { name }: Chart): RepoPath {
  return path ?? (fileNameOf({ name, version }) as RepoPath);
}

export const indexKind: DocumentKind<ChartIndex> = {
  package: () => undefined,
  path: () => INDEX_FILE as RepoPath,
  build: (source, _name, previous) => buildIndex(source, previous),
  fetch: (_name, remote) => indexFetch(remote),
  parse: (bytes, { base, settings }) => parseIndex(bytes, { base, settings }),
  merge: mergeIndexes,
  filter: (index, accepts) => filterIndex(index, (entry, chart) => accepts(pathOf(entry, chart))),
  render: (index) => renderIndex(index),
};
