/** Everything that can be set before the start, as one value. */
import { z } from 'zod';
import { archivesSection } from './archives.ts';
import { dataSection } from './data.ts';
import { databaseSection } from './database.ts';
import { dockerSection } from './docker.ts';
import { secret } from './fields.ts';
import { httpSection } from './http.ts';
import { jobsSection } from './jobs.ts';
import { logSection } from './log.ts';
import { remotesSection } from './remotes.ts';
import { repositoriesSection } from './repositories.ts';
import { searchSection } from './search.ts';
import { securitySection } from './security.ts';
import { storageSection } from './storage.ts';
import { sweepSection } from './sweep.ts';
import { trashSection } from './trash.ts';
import { uploadsSection } from './uploads.ts';
import { upstreamsSection } from './upstreams.ts';

/** What the configuration file may hold: one section per subject. */
export const SECTIONS = {
  http: httpSection.prefault({}).describe('How clients reach the server.'),
  data: dataSection.prefault({}).describe('Where the server keeps its files.'),
  database: databaseSection.prefault({}).describe('Where metadata is kept.'),
  storage: storageSection.prefault({}).describe('Where the bytes of artifacts are kept.'),
  uploads: uploadsSection.prefault({}).describe('Resumable uploads.'),
  archives: archivesSection.prefault({}).describe('Archives: unpacked, looked into, and made of folders.'),
  sweep: sweepSection.prefault({}).describe('Removing bytes that nothing names any more.'),
  trash: trashSection.prefault({}).describe('What becomes of what is deleted.'),
  docker: dockerSection.prefault({}).describe('Docker and OCI registries.'),
  remotes: remotesSection.prefault({}).describe('What remote repositories may ask for outside.'),
  upstreams: upstreamsSection
    .prefault({})
    .describe('Upstreams of the remote repositories that a first start makes; what was made stays as it is.'),
  repositories: repositoriesSection.prefault({}).describe('Repositories beside those that administrators make.'),
  security: securitySection.prefault({}).describe('Who gets in.'),
  search: searchSection.prefault({}).describe('Searches, and what is kept for them.'),
  jobs: jobsSection.prefault({}).describe('Background work.'),
  log: logSection.prefault({}).describe('What the server reports.'),
};

/** What only the environment can say: it matters at the first start and must not stay in a file. */
export const SPECIALS = {
  adminPassword: secret()
    .optional()
    .describe(
      'Password of the user `admin`, set when that user is first made. Without it, one is made and logged once.',
    ),
  bootstrap: z
    .enum(['default', 'minimal', 'none'])
    .default('default')
    .describe(
      'Which repositories an empty database starts with. `default`: for docker, helm, maven, npm and pypi a local, a remote and a virtual one each, and `generic-local`. `minimal`: `docker-local` and `generic-local`. `none`: none.',
    ),
};

export const configSchema = z
  .strictObject({ ...SECTIONS, ...SPECIALS })
  .superRefine((config, context) => {
    if (config.http.port !== 0 && Object.hasOwn(config.docker.ports, config.http.port)) {
      context.addIssue({
        code: 'custom',
        path: ['docker', 'ports', String(config.http.port)],
        message: 'is the port of the server itself (http.port); choose another',
      });
    }
  })
  .readonly();

export type Config = z.infer<typeof configSchema>;
