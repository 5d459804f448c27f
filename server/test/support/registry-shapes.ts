/** What registries that people have for upstreams do differently. */

export interface RegistryShape {
  readonly name: string;
  readonly host: string;
  /** What stands before `/v2/`. */
  readonly base?: string;
  /** The part of names that the registry wants before the image. */
  readonly owner?: string;
  readonly auth: 'none' | 'basic' | BearerShape;
  /** What a name without an image is answered with, by who has a good token. */
  readonly missing: { readonly status: number; readonly code: string };
  /** The host that blobs are redirected to; it takes GET alone, and no Authorization. */
  readonly blobHost?: string;
  /** What a HEAD of a blob is answered with, where that is not what a GET is. */
  readonly blobHead?: number;
  readonly hasReferrers: boolean;
  /** At most so many tags in one answer. */
  readonly tagsPage: number;
  /** What `n` may be at most; more is refused. */
  readonly maxTags?: number;
  readonly hasCatalog: boolean;
  /** Manifests that may be had in six hours; a HEAD is not counted. */
  readonly limit?: number;
  /** A header that says less than the document. */
  readonly manifestType?: string;
}

export interface BearerShape {
  readonly realmHost: string;
  readonly realmPath: string;
  readonly service?: string;
  /** The scope it demands, whatever is asked for. */
  readonly scope?: string;
  /** The user that it wants to see; anonymous tokens where there is none. */
  readonly user?: string;
  readonly lifeSeconds?: number;
}

export const SHAPES = {
  dockerHub: {
    name: 'Docker Hub',
    host: 'registry-1.docker.io',
    auth: { realmHost: 'auth.docker.io', realmPath: '/token', service: 'registry.docker.io', lifeSeconds: 300 },
    missing: { status: 401, code: 'UNAUTHORIZED' },
    blobHost: 'production.cloudflare.docker.com',
    blobHead: 405,
    hasReferrers: false,
    tagsPage: 1000,
    hasCatalog: false,
    limit: 100,
  },
  ghcr: {
    name: 'GHCR',
    host: 'ghcr.io',
    auth: { realmHost: 'ghcr.io', realmPath: '/token', service: 'ghcr.io' },
    missing: { status: 403, code: 'DENIED' },
    blobHost: 'pkg-containers.githubusercontent.com',
    hasReferrers: false,
    tagsPage: 100,
    hasCatalog: false,
  },
  quay: {
    name: 'Quay',
    host: 'quay.io',
    auth: { realmHost: 'quay.io', realmPath: '/v2/auth', service: 'quay.io' },
    missing: { status: 401, code: 'UNAUTHORIZED' },
    blobHost: 'cdn01.quay.io',
    hasReferrers: true,
    tagsPage: 100,
    hasCatalog: true,
    manifestType: 'application/json',
  },
  artifactRegistry: {
    name: 'Google Artifact Registry',
    host: 'europe-docker.pkg.dev',
    owner: 'project/images/',
    auth: {
      realmHost: 'europe-docker.pkg.dev',
      realmPath: '/v2/token',
      service: 'europe-docker.pkg.dev',
      user: '_json_key',
    },
    missing: { status: 403, code: 'DENIED' },
    blobHost: 'storage.googleapis.com',
    hasReferrers: true,
    tagsPage: 1000,
    hasCatalog: false,
  },
  ecr: {
    name: 'ECR',
    host: '123456789012.dkr.ecr.eu-west-1.amazonaws.com',
    auth: 'basic',
    missing: { status: 404, code: 'NAME_UNKNOWN' },
    blobHost: 'prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com',
    hasReferrers: false,
    tagsPage: 1000,
    maxTags: 1000,
    hasCatalog: true,
  },
  ecrPublic: {
    name: 'ECR Public',
    host: 'public.ecr.aws',
    auth: { realmHost: 'public.ecr.aws', realmPath: '/token/', service: 'public.ecr.aws', scope: 'aws' },
    missing: { status: 404, code: 'NAME_UNKNOWN' },
    blobHost: 'd2glxqk2uabbnd.cloudfront.net',
    blobHead: 401,
    hasReferrers: false,
    tagsPage: 1000,
    maxTags: 1000,
    hasCatalog: false,
  },
  acr: {
    name: 'ACR',
    host: 'acme.azurecr.io',
    auth: { realmHost: 'acme.azurecr.io', realmPath: '/oauth2/token', service: 'acme.azurecr.io', user: 'puller' },
    missing: { status: 404, code: 'MANIFEST_UNKNOWN' },
    blobHost: 'eusmanaged1.blob.core.windows.net',
    hasReferrers: true,
    tagsPage: 100,
    hasCatalog: true,
  },
  redHat: {
    name: 'Red Hat',
    host: 'registry.redhat.io',
    auth: {
      realmHost: 'registry.redhat.io',
      realmPath: '/auth/realms/rhcc/protocol/redhat-docker-v2/auth',
      service: 'docker-registry',
      user: '12345|puller',
    },
    missing: { status: 404, code: 'MANIFEST_UNKNOWN' },
    blobHost: 'cdn.redhat.example',
    hasReferrers: false,
    tagsPage: 1000,
    hasCatalog: false,
    manifestType: 'text/plain; charset=utf-8',
  },
  mcr: {
    name: 'MCR',
    host: 'mcr.microsoft.com',
    auth: 'none',
    missing: { status: 404, code: 'MANIFEST_UNKNOWN' },
    blobHost: 'eastus.data.mcr.microsoft.com',
    hasReferrers: true,
    tagsPage: 10_000,
    hasCatalog: true,
  },
  gitlab: {
    name: 'GitLab',
    host: 'registry.gitlab.com',
    auth: { realmHost: 'gitlab.com', realmPath: '/jwt/auth', service: 'container_registry' },
    missing: { status: 401, code: 'UNAUTHORIZED' },
    blobHost: 'cdn.registry.gitlab-static.net',
    hasReferrers: false,
    tagsPage: 100,
    hasCatalog: false,
  },
  artifactory: {
    name: 'Artifactory',
    host: 'repo.acme.example',
    base: '/artifactory/api/docker/images',
    auth: {
      realmHost: 'repo.acme.example',
      realmPath: '/artifactory/api/docker/images/v2/token',
      service: 'repo.acme.example',
      user: 'puller',
    },
    missing: { status: 404, code: 'MANIFEST_UNKNOWN' },
    hasReferrers: true,
    tagsPage: 1000,
    hasCatalog: true,
  },
} as const satisfies Record<string, RegistryShape>;
