/** Maven repositories, and those of Gradle, Ivy and sbt, which speak the same protocol. */
import { hasControlName } from '../../core/control-names.ts';
import { documentKind } from '../../core/document.ts';
import type { Format, PathKind } from '../../core/format.ts';
import { type RepoPath, splitPath } from '../../core/ids.ts';
import type { RemoteRules } from '../../core/remote.ts';
import { mavenView } from './describe.ts';
import { ingest } from './ingest.ts';
import { inspectionOf } from './inspection.ts';
import { metadataKind } from './metadata.ts';
import { folderOf, isSnapshot, METADATA_FILE, parseMavenPath, releaseOf, rowOf, timeOf } from './paths.ts';
import { adaptPom } from './pom-cleanup.ts';
import { publicUpstream } from './public-upstream.ts';
import { recalculate, recalculateAll } from './recalculate.ts';
import { setUpMaven } from './setup.ts';
import { newestSnapshot, settle } from './snapshots.ts';

const SIDECAR = /^(.+)\.(sha512|sha256|sha1|md5)$/;
/** What upstreams make anew, beside metadata: indexes and catalogues. */
const REMADE = /^\.index\/|(^|\/)archetype-catalog\.xml$/;
/** What an upstream says of itself alone, such as which groups it has: of a virtual repository over it that is not true. */
const OF_ITSELF = /^\.meta\//;

export function defineMaven(): Format {
  return {
    packageTypes: ['maven', 'gradle', 'ivy', 'sbt'],
    publicUpstream,
    mounts: [
      { before: '/artifactory/api/maven/calculateMetadata', after: '' },
      { before: '/artifactory/api/maven/calculateMetaData', after: '' },
    ],
    routes: [{ methods: ['POST'], pattern: '{path...}', handle: recalculate }],
    serviceRoutes: [{ methods: ['POST'], pattern: '{key}', handle: recalculateAll }],
    plainPaths: true,
    classify,
    ingest,
    packageOf: (path) => releaseOf(path)?.package,
    folderOf,
    // The artifacts of a group have one owner.
    territory: (name) => name.slice(0, name.indexOf(':') + 1),
    place: (path) => rowOf(path) ?? { package: '' },
    settle,
    clientChecksums: true,
    newest: newestSnapshot,
    adapt: adaptPom,
    documents: { metadata: documentKind(metadataKind) },
    view: mavenView,
    remote: REMOTE,
    setup: setUpMaven,
  };
}

function classify(path: RepoPath): PathKind {
  if (hasControlName(path)) return { kind: 'reserved' };
  const { parent, name } = splitPath(path);
  if (name === METADATA_FILE && parent !== '') {
    return { kind: 'document', document: 'metadata', name: parent, puts: 'taken' };
  }
  const [, of, algorithm] = SIDECAR.exec(path) ?? [];
  if (of !== undefined) return { kind: 'checksum', of: of as RepoPath, algorithm: algorithm as 'sha512' };
  return { kind: 'artifact', mutable: isMutable(path) };
}

/** Whether an upstream may have another file of this name tomorrow: snapshots without a time, and what is made anew. */
function isMutable(path: RepoPath): boolean {
  if (REMADE.test(path)) return true;
  const at = parseMavenPath(path);
  if (at) return isSnapshot(at.version) && timeOf(at) === undefined;
  return splitPath(path).name.includes('-SNAPSHOT');
}

const REMOTE: RemoteRules = {
  fetch(wanted, { settings }) {
    if (!('path' in wanted) || wanted.path === '' || OF_ITSELF.test(wanted.path)) return undefined;
    const { path } = wanted;
    const kind = classify(path);
    // Checksums are those of the file itself, and metadata is asked for as such.
    if (kind.kind !== 'artifact') return undefined;
    const at = parseMavenPath(path);
    // An upstream that is kept for the one is not asked for the other.
    if (at && settings[isSnapshot(at.version) ? 'handleSnapshots' : 'handleReleases'] === false) return undefined;
    const name = releaseOf(path)?.package;
    const inspect = inspectionOf(path, settings);
    return {
      key: path,
      path,
      ask: { path },
      mutable: kind.mutable,
      ...(name !== undefined && { package: name }),
      ...(inspect && { inspect }),
    };
  },
};
