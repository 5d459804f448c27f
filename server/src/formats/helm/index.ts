/** Helm: repositories of charts with an index, for `helm repo` and `helm cm-push` (docs/formats/helm.md). */
import { hasControlName } from '../../core/control-names.ts';
import { documentKind } from '../../core/document.ts';
import type { Format } from '../../core/format.ts';
import type { RepoPath } from '../../core/ids.ts';
import type { Route } from '../../core/protocol.ts';
import { deleteVersion, getChart, getVersion, listCharts } from './charts-api.ts';
import { helmView } from './describe.ts';
import { indexKind } from './document.ts';
import { renderFailure } from './errors.ts';
import { getFile, getHome, indexHandler } from './files.ts';
import { ingest } from './ingest.ts';
import { chartAt, chartOf, FOLDER, INDEX, INDEX_FILE, isArchive, PROVENANCE_ENDING, rowName } from './names.ts';
import { reindex } from './reindex.ts';
import { remoteRules } from './remote.ts';
import { setUpHelm } from './setup.ts';
import { postChart, postProvenance, putFile } from './upload.ts';

const SIDECAR = /^(.+)\.(sha256|sha1|md5)$/;

const ROUTES: readonly Route[] = [
  { methods: ['GET', 'HEAD'], pattern: '', handle: getHome },
  { methods: ['GET', 'HEAD'], pattern: 'api/charts', handle: listCharts },
  { methods: ['POST'], pattern: 'api/charts', handle: postChart },
  { methods: ['POST'], pattern: 'api/prov', handle: postProvenance },
  { methods: ['GET', 'HEAD'], pattern: 'api/charts/{name}', handle: getChart },
  { methods: ['GET', 'HEAD'], pattern: 'api/charts/{name}/{version}', handle: getVersion },
  { methods: ['DELETE'], pattern: 'api/charts/{name}/{version}', handle: deleteVersion },
  { methods: ['POST'], pattern: 'reindex', handle: reindex },
  { methods: ['POST'], pattern: '{path...}/reindex', handle: reindex },
  { methods: ['GET', 'HEAD'], pattern: '{path...}', handle: getFile },
  { methods: ['PUT'], pattern: '{path...}', handle: putFile },
];

export function defineHelm(): Format {
  return {
    packageTypes: ['helm'],
    // Its clients ask nobody by default.
    publicUpstream: {},
    mounts: [{ before: '/artifactory/api/helm', after: '' }],
    plainPaths: true,
    classify(path) {
      if (path === INDEX_FILE) return { kind: 'document', document: INDEX, name: '', puts: 'refused' };
      if (path === FOLDER || path.startsWith(`${FOLDER}/`) || hasControlName(path)) return { kind: 'reserved' };
      const [, of, algorithm] = SIDECAR.exec(path) ?? [];
      if (of !== undefined) {
        return { kind: 'checksum', of: of as RepoPath, algorithm: algorithm as 'sha256' | 'sha1' | 'md5' };
      }
      return { kind: 'artifact', mutable: !isArchive(path) && chartOf(path) === undefined };
    },
    attached: (path) => (isArchive(path) ? [`${path}${PROVENANCE_ENDING}` as RepoPath] : []),
    packageOf: (path) => chartAt(chartOf(path) ?? path)?.name,
    ingest,
    place(path) {
      const chart = chartAt(path);
      const version = chart && rowName(chart, path);
      // A chart whose name does not tell what it is stands in no index until it is read again.
      return { package: chart?.name ?? '', version: version ?? `@/${path.slice(-1000)}` };
    },
    documents: { [INDEX]: documentKind(indexKind) },
    view: helmView,
    remote: remoteRules,
    renderFailure,
    setup: setUpHelm,
    routes: [{ methods: ['GET', 'HEAD'], pattern: INDEX_FILE, handle: indexHandler() }, ...ROUTES],
  };
}
