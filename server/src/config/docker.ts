import { z } from 'zod';
import { bytes, count, hostName, MIB, repoKey } from './fields.ts';

/** What the distribution specification has clients count on. */
const MIN_MANIFEST_BYTES = 4 * MIB;

export const dockerSection = z
  .strictObject({
    domain: hostName()
      .optional()
      .describe(
        'Domain whose sub-domains name repositories: `docker-local.<domain>` is the repository `docker-local`.',
      ),
    hosts: z
      .record(hostName(), repoKey())
      .default({})
      .readonly()
      .describe('Host names that each stand for one repository.'),
    ports: z
      .record(
        z.string().refine((port) => /^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535, 'is no port number'),
        repoKey(),
      )
      .default({})
      .readonly()
      .describe('Further ports to listen on, each of which stands for one repository.'),
    mirrors: z
      .record(
        z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:\d{1,5})?$/, 'is no name of a registry'),
        repoKey(),
      )
      .default({})
      .readonly()
      .describe(
        'Registries that this server is a mirror of, each with the repository that stands for it: clients name the registry by the parameter `ns`, as containerd does.',
      ),
    mirrorEndpoints: z
      .array(repoKey())
      .default([])
      .readonly()
      .describe(
        'Repositories bound to a host name or a port at which the repositories of `mirrors` are asked instead; without the parameter `ns` the one of `docker.io`.',
      ),
    maxManifestBytes: bytes(MIN_MANIFEST_BYTES, 100 * MIB)
      .default(MIN_MANIFEST_BYTES)
      .describe('Larger manifests are refused.'),
    protectIndexChildren: z
      .boolean()
      .default(false)
      .describe('Whether a manifest that an index names cannot be deleted.'),
    acceptUnknownManifests: z
      .boolean()
      .default(true)
      .describe('Whether manifests of media types the server does not know are accepted.'),
    catalogFromCache: z
      .boolean()
      .default(false)
      .describe(
        'Whether the catalogue of a remote repository is made of what its cache holds, instead of asking upstream. The same as `artifactory.docker.catalogs.tags.fallback.fetch.remote.cache`.',
      ),
    tokenSeconds: count(60, 86_400).default(3600).describe('Life of a token issued to a client of the registry.'),
    refreshTokens: z
      .boolean()
      .default(false)
      .describe('Whether clients that ask for offline access get a refresh token.'),
  })
  .readonly();
