/** npm's registry: packuments, tarballs, publishing, and what clients ask about accounts (docs/formats/npm.md). */
import { hasControlName } from '../../core/control-names.ts';
import { documentKind } from '../../core/document.ts';
import { AppError } from '../../core/errors.ts';
import type { Format } from '../../core/format.ts';
import type { RepoPath } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply, Route } from '../../core/protocol.ts';
import { RenderedDocuments } from '../../core/rendered.ts';
import { ACCOUNT_ROUTES } from './accounts.ts';
import { npmView } from './describe.ts';
import { deleteTag, getTags, heldPackument, putRevision, putTag, putTags } from './edit.ts';
import { renderFailure } from './errors.ts';
import { ingest } from './ingest.ts';
import { filterPackument, mergePackuments } from './merge.ts';
import { isName, packumentPath, parseName, readTarballPath, rowName, versionOfRow } from './names.ts';
import { getNpmrc, getScopedNpmrc } from './npmrc.ts';
import { buildPackument, type Packument } from './packument.ts';
import { publicUpstream } from './public-upstream.ts';
import { putPackage } from './publish.ts';
import { getAnything } from './read.ts';
import { reindex } from './reindex.ts';
import { renderPackument } from './render.ts';
import { search } from './search.ts';
import { auditBulk, auditQuick, getAttestations, getKeys } from './security.ts';
import { setUpNpm } from './setup.ts';
import { starredByUser } from './stars.ts';
import { deleteRevision } from './unpublish.ts';
import { KEYS, packumentFetch, REMOTE, SEARCH } from './upstream.ts';
import { parsePackument } from './upstream-reading.ts';

const MAX_RENDERED = 256 * 1024 * 1024;
const READ = ['GET', 'HEAD'] as const;
const SIDECAR = /^(.+)\.(sha256|sha1|md5)$/;

export function defineNpm(): Format {
  const packuments = new RenderedDocuments({ maxBytes: MAX_RENDERED });
  return {
    packageTypes: ['npm'],
    publicUpstream,
    mounts: [
      { before: '/artifactory/api/npm', after: '/-', routes: DASH_ROUTES, serviceRoutes: ACCOUNT_ROUTES },
      {
        before: '/artifactory/api/npm',
        after: '',
        serviceRoutes: [
          { methods: ['GET'], pattern: 'auth', handle: getNpmrc },
          { methods: READ, pattern: '{repo}', handle: async () => ({ status: 200, json: {} }) },
        ],
      },
    ],
    rowAt: (path, release) => rowName(release.package, versionOfRow(release.version), path),
    classify(path) {
      if (hasControlName(path)) return { kind: 'reserved' };
      const [, name] = /^\.npm\/(.+)\/package\.json$/.exec(path) ?? [];
      if (name !== undefined && isName(name)) return { kind: 'document', document: 'packument', name, puts: 'refused' };
      const [, of, algorithm] = SIDECAR.exec(path) ?? [];
      if (of === undefined) return { kind: 'artifact', mutable: !path.endsWith('.tgz') };
      return { kind: 'checksum', of: of as RepoPath, algorithm: algorithm as 'sha256' | 'sha1' | 'md5' };
    },
    ingest,
    packageOf: (path) => readTarballPath(path)?.name ?? /^\.npm\/(.+)\/package\.json$/.exec(path)?.[1],
    territory: (name) => /^@[^/]+\//.exec(name)?.[0] ?? name,
    plainPaths: true,
    documents: {
      packument: documentKind<Packument>({
        package: (name) => name,
        path: packumentPath,
        build: buildPackument,
        fetch: packumentFetch,
        parse: parsePackument,
        merge: mergePackuments,
        filter: filterPackument,
        render: (doc, { base, previous }) => renderPackument(doc, { style: 'full', base, previous }),
      }),
      keys: documentKind(KEYS),
      search: documentKind(SEARCH),
    },
    view: npmView,
    remote: REMOTE,
    renderFailure,
    setup: setUpNpm,
    routes: [
      { methods: ['POST'], pattern: 'reindex', handle: reindex },
      { methods: ['GET'], pattern: 'auth/{scope}', handle: getAuthOrVersion },
      { methods: ['DELETE'], pattern: '{file...}/-rev/{rev}', handle: deleteRevision },
      { methods: ['PUT'], pattern: '{name...}/-rev/{rev}', handle: putRevision },
      { methods: ['PUT'], pattern: '{name...}', handle: putPackage },
      { methods: READ, pattern: '', handle: async () => ({ status: 200, json: {} }) },
      {
        methods: READ,
        pattern: '{path...}',
        handle: (request, context) => getAnything(request.params['path'] ?? '', request, context, packuments),
      },
    ],
  };

  /** The helper for settings files has the address of versions of a package called "auth". */
  async function getAuthOrVersion(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
    const held = await context.repo.document('packument', 'auth');
    if (!held) return getScopedNpmrc(request, context);
    const path = `auth/${request.params['scope'] ?? ''}`;
    return getAnything(path, request, context, packuments);
  }
}

const DASH_ROUTES: readonly Route[] = [
  { methods: READ, pattern: 'package/{name...}/dist-tags', handle: getTags },
  { methods: ['PUT', 'POST'], pattern: 'package/{name...}/dist-tags', handle: putTags },
  { methods: ['PUT', 'POST'], pattern: 'package/{name...}/dist-tags/{tag}', handle: putTag },
  { methods: ['DELETE'], pattern: 'package/{name...}/dist-tags/{tag}', handle: deleteTag },
  { methods: READ, pattern: 'package/{name...}/visibility', handle: getVisibility },
  { methods: READ, pattern: 'package/{name...}/collaborators', handle: getCollaborators },
  { methods: ['POST'], pattern: 'package/{name...}/access', handle: refuseAccess },
  { methods: ['POST'], pattern: 'npm/v1/security/advisories/bulk', handle: auditBulk },
  { methods: ['POST'], pattern: 'npm/v1/security/audits/quick', handle: auditQuick },
  { methods: ['POST'], pattern: 'npm/v1/security/audits', handle: auditQuick },
  { methods: READ, pattern: 'npm/v1/keys', handle: getKeys },
  { methods: READ, pattern: 'npm/v1/attestations/{spec...}', handle: getAttestations },
  { methods: READ, pattern: 'v1/search', handle: search },
  { methods: READ, pattern: '_view/starredByUser', handle: starredByUser },
];

async function getVisibility(request: ProtocolRequest, { repo, authenticated }: ProtocolContext): Promise<Reply> {
  await heldPackument(repo, parseName(request.params['name'] ?? ''));
  return { status: 200, json: { public: !authenticated } };
}

async function getCollaborators(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  await heldPackument(repo, parseName(request.params['name'] ?? ''));
  return { status: 200, json: {} };
}

async function refuseAccess(): Promise<Reply> {
  throw new AppError(
    'not_supported',
    'Who may read a package is set by the permissions of its repository, not by npm.',
  );
}
