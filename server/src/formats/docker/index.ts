/** Docker and OCI registries: the distribution API over Artifactory's tree (docs/formats/docker.md). */
import { AppError } from '../../core/errors.ts';
import type { Format } from '../../core/format.ts';
import type { ProtocolRequest, Reply, ServiceContext } from '../../core/protocol.ts';
import { deleteBlob, getBlob, type LeaseRules } from './blobs.ts';
import { dockerView } from './describe.ts';
import { renderFailure } from './errors.ts';
import { listAllImages, listImages, listReferrers, listTags } from './listings.ts';
import { parseManifest } from './manifest.ts';
import { deleteManifest, getManifest, type ManifestSettings, putManifest } from './manifests.ts';
import { checkKey, digestFolder, INDEX, imageOf, MANIFEST, placeFile, UPLOADS } from './names.ts';
import { imageOfTag, removeOldTags } from './old-tags.ts';
import { defineRemote, type RemoteDockerSettings } from './remote.ts';
import { SEARCH_ROUTES } from './search.ts';
import { type SetUpBindings, setUpDocker } from './setup.ts';
import { getToken, postToken } from './token.ts';
import { deleteUpload, getUpload, patchUpload, putUpload, startUpload } from './uploads.ts';

export type DockerSettings = ManifestSettings & LeaseRules & RemoteDockerSettings & SetUpBindings;

export function defineDocker(settings: DockerSettings): Format {
  return {
    packageTypes: ['docker', 'oci', 'helmoci'],
    // Docker Hub, which every client asks for images whose names say no registry.
    publicUpstream: { address: 'https://registry-1.docker.io' },
    mounts: [
      {
        before: '/v2',
        after: '',
        bindable: true,
        namespaces: { parameter: 'ns', header: 'OCI-Namespace', unnamed: 'docker.io' },
      },
      { before: '/artifactory/api/docker', after: '/v2' },
      { before: '/v1', after: '', bindable: true, serviceRoutes: SEARCH_ROUTES },
    ],
    checkKey,
    classify(path) {
      const name = path.slice(path.lastIndexOf('/') + 1);
      const byDigest = /(^|\/)sha256:[0-9a-f]{64}\//.test(path);
      return { kind: 'artifact', mutable: (name === MANIFEST || name === INDEX) && !byDigest };
    },
    view: dockerView,
    remote: defineRemote(settings),
    references: (bytes, mediaType) => parseManifest(bytes, mediaType, { acceptUnknown: true }).required,
    retentionScope: imageOfTag,
    waitingFolder: UPLOADS,
    retain: removeOldTags,
    packageOf: imageOf,
    place: placeFile,
    companions: { property: 'oci.child', folder: digestFolder },
    commonHeaders: { 'Docker-Distribution-Api-Version': 'registry/2.0' },
    renderFailure,
    setup: (repo, reader) => setUpDocker(repo, reader, settings),
    routes: [
      { methods: ['POST'], pattern: '{name...}/blobs/uploads', handle: startUpload },
      { methods: ['POST'], pattern: '{name...}/blobs/uploads/', handle: startUpload },
      { methods: ['PATCH'], pattern: '{name...}/blobs/uploads/{id}', handle: patchUpload },
      { methods: ['PUT'], pattern: '{name...}/blobs/uploads/{id}', handle: putUpload },
      { methods: ['GET', 'HEAD'], pattern: '{name...}/blobs/uploads/{id}', handle: getUpload },
      { methods: ['DELETE'], pattern: '{name...}/blobs/uploads/{id}', handle: deleteUpload },
      {
        methods: ['GET', 'HEAD'],
        pattern: '{name...}/blobs/{digest}',
        handle: (request, context) => getBlob(request, context, settings),
      },
      { methods: ['DELETE'], pattern: '{name...}/blobs/{digest}', handle: deleteBlob },
      { methods: ['GET', 'HEAD'], pattern: '{name...}/manifests/{reference}', handle: getManifest },
      {
        methods: ['PUT'],
        pattern: '{name...}/manifests/{reference}',
        handle: (request, context) => putManifest(request, context, settings),
      },
      {
        methods: ['DELETE'],
        pattern: '{name...}/manifests/{reference}',
        handle: (request, context) => deleteManifest(request, context, settings),
      },
      { methods: ['GET', 'HEAD'], pattern: '{name...}/tags/list', handle: listTags },
      { methods: ['GET', 'HEAD'], pattern: '{name...}/referrers/{digest}', handle: listReferrers },
      { methods: ['GET', 'HEAD'], pattern: '_catalog', handle: listImages },
      {
        methods: ['GET', 'HEAD'],
        pattern: '{name...}/_oci/ext/discover',
        handle: async () => ({ status: 200, json: { extensions: [] } }),
      },
    ],
    serviceRoutes: [
      { methods: ['GET', 'HEAD'], pattern: '', handle: ping },
      { methods: ['GET', 'HEAD'], pattern: 'token', handle: getToken },
      { methods: ['POST'], pattern: 'token', handle: postToken },
      { methods: ['GET', 'HEAD'], pattern: '_catalog', handle: listAllImages },
      {
        methods: ['GET', 'HEAD'],
        pattern: '_oci/ext/discover',
        handle: async () => ({ status: 200, json: { extensions: [] } }),
      },
    ],
  };
}

/** Clients learn from the refusal where tokens are to be had, so even a public registry refuses the first time. */
async function ping(_request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  if (!context.authenticated) throw new AppError('unauthenticated', 'Authentication is required.');
  return { status: 200, json: {} };
}
