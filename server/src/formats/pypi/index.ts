/** PyPI: the simple index and the upload form of the Python clients (docs/formats/pypi.md). */
import { hasControlName } from '../../core/control-names.ts';
import { documentKind } from '../../core/document.ts';
import { AppError } from '../../core/errors.ts';
import type { Format } from '../../core/format.ts';
import { clip, type RepoPath } from '../../core/ids.ts';
import type { ProtocolRequest, Reply, Route, ServiceContext } from '../../core/protocol.ts';
import { pypiView } from './describe.ts';
import { projectKind, rootKind } from './documents.ts';
import { renderFailure } from './errors.ts';
import { getFile, getProvenance } from './files.ts';
import { getHome, getProject, getRoot } from './index-pages.ts';
import {
  distributionAt,
  distributionOf,
  normalizeName,
  PROVENANCE_ENDING,
  releaseName,
  SIGNATURE_ENDING,
} from './names.ts';
import { FOLDER, PROJECT, ROOT_LIST } from './project.ts';
import { getProjectJson } from './project-json.ts';
import { publicUpstream } from './public-upstream.ts';
import { reindex } from './reindex.ts';
import { ingest } from './release.ts';
import { remoteRules } from './remote.ts';
import { search } from './search.ts';
import { setUpPypi } from './setup.ts';
import { upload } from './upload.ts';
import { unyank, yank } from './yank.ts';

const SIDECAR = /^(.+)\.(sha256|sha1|md5)$/;
const PAGE = /^\.pypi\/([^/]+)\/\1\.html$/;

const ROUTES: readonly Route[] = [
  { methods: ['GET', 'HEAD'], pattern: 'simple/{project}/', handle: getProject },
  { methods: ['GET', 'HEAD'], pattern: 'packages/{path...}', handle: getFile },
  { methods: ['GET', 'HEAD'], pattern: 'simple/{project}', handle: getProject },
  { methods: ['GET', 'HEAD'], pattern: 'simple/', handle: getRoot },
  { methods: ['GET', 'HEAD'], pattern: 'simple', handle: getRoot },
  { methods: ['POST'], pattern: '', handle: post },
  { methods: ['GET', 'HEAD'], pattern: '', handle: getHome },
  { methods: ['POST'], pattern: 'legacy/', handle: post },
  { methods: ['POST'], pattern: 'pypi', handle: search },
  { methods: ['POST'], pattern: 'pypi/', handle: search },
  { methods: ['GET', 'HEAD'], pattern: 'pypi/{project}/json', handle: getProjectJson },
  { methods: ['GET', 'HEAD'], pattern: 'pypi/{project}/{version}/json', handle: getProjectJson },
  { methods: ['GET', 'HEAD'], pattern: 'integrity/{project}/{version}/{filename}/provenance', handle: getProvenance },
  { methods: ['PUT'], pattern: 'yank/{project}/{version}', handle: yank },
  { methods: ['DELETE'], pattern: 'yank/{project}/{version}', handle: unyank },
  { methods: ['POST'], pattern: 'reindex', handle: reindex },
];

/** What is said of a file, in files beside it. */
const ATTACHED = [SIGNATURE_ENDING, PROVENANCE_ENDING];

export function definePypi(): Format {
  return {
    packageTypes: ['pypi'],
    publicUpstream,
    mounts: [{ before: '/artifactory/api/pypi', after: '' }],
    plainPaths: true,
    classify(path) {
      if (path === `${FOLDER}/simple.html`) return { kind: 'document', document: ROOT_LIST, name: '', puts: 'refused' };
      const [, project] = PAGE.exec(path) ?? [];
      if (project !== undefined && normalizeName(project) === project) {
        return { kind: 'document', document: PROJECT, name: project, puts: 'refused' };
      }
      if (path === FOLDER || path.startsWith(`${FOLDER}/`) || hasControlName(path)) return { kind: 'reserved' };
      const [, of, algorithm] = SIDECAR.exec(path) ?? [];
      if (of !== undefined) {
        return { kind: 'checksum', of: of as RepoPath, algorithm: algorithm as 'sha256' | 'sha1' | 'md5' };
      }
      return { kind: 'artifact', mutable: false };
    },
    attached: (path) =>
      distributionOf(path) === undefined && distributionAt(path)
        ? ATTACHED.map((ending) => `${path}${ending}` as RepoPath)
        : [],
    packageOf,
    ingest,
    place(path) {
      const name = distributionAt(path);
      const version = name && releaseName(name, path);
      const owner = packageOf(path) ?? '';
      return { package: owner, ...(version !== undefined && { version }) };
    },
    view: pypiView,
    remote: remoteRules,
    documents: { [PROJECT]: documentKind(projectKind), [ROOT_LIST]: documentKind(rootKind) },
    renderFailure,
    setup: setUpPypi,
    routes: ROUTES,
    serviceRoutes: [{ methods: ['POST'], pattern: '{key}', handle: postWithoutSlash }],
  };
}

function packageOf(path: RepoPath): string | undefined {
  return distributionAt(distributionOf(path) ?? path)?.project;
}

/** The address of the repository takes uploads, and the searches of old clients. */
function post(request: ProtocolRequest, context: Pick<Parameters<typeof search>[1], 'repo'>): Promise<Reply> {
  const isXml = /^(text|application)\/xml\b/i.test(request.headers['content-type'] ?? '');
  return isXml ? search(request, context) : upload(request, context.repo);
}

/** Clients that are told the address of a repository without a slash at its end post to it as it is. */
async function postWithoutSlash(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const key = request.params['key'] ?? '';
  const repo = await context.repository(key);
  if (repo) return post(request, { repo });
  if (!context.authenticated) throw new AppError('unauthenticated', 'Authentication is required.');
  throw new AppError('not_found', `There is no PyPI repository "${clip(key)}", or you may not use it.`);
}
