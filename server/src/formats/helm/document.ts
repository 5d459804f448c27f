/** The index as a document of a repository. */
import type { DocumentKind } from '../../core/document.ts';
import type { RepoPath } from '../../core/ids.ts';
import { buildIndex, type ChartIndex, filterIndex, mergeIndexes } from './chart-index.ts';
import { INDEX_FILE } from './names.ts';
import { indexFetch } from './remote.ts';
import { renderIndex } from './render.ts';
import { parseIndex } from './upstream-index.ts';

export const indexKind: DocumentKind<ChartIndex> = {
  package: () => undefined,
  path: () => INDEX_FILE as RepoPath,
  build: (source, _name, previous) => buildIndex(source, previous),
  fetch: (_name, remote) => indexFetch(remote),
  parse: (bytes, { base, settings }) => parseIndex(bytes, { base, settings }),
  merge: mergeIndexes,
  without: (index, packages) => filterIndex(index, (_entry, { name }) => !packages.has(name)),
  // What lies elsewhere tells nothing of what lies here.
  filter: (index, accepts) => filterIndex(index, ({ path }) => path === undefined || accepts(path)),
  render: (index) => renderIndex(index),
};
