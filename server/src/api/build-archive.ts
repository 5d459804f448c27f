/** The files of a build as one archive. */
import { z } from 'zod';
import { nameFiles, openFiles, parseMappings } from '../builds/archive.ts';
import { locateArtifacts } from '../builds/artifacts.ts';
import { type BuildDeps, requireBuildRepository, requireDocument, requireRun } from '../builds/builds.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import type { FolderArchives } from '../repositories/folder-archive.ts';
import { type ApiRequest, bodyRoute, type Route } from './route.ts';

export interface BuildArchiveDeps extends BuildDeps {
  readonly folderArchives: FolderArchives;
}

const word = z.union([z.string(), z.number().transform(String)]);
const archiveBody = z.object({
  buildName: z.string().min(1),
  buildNumber: word.optional(),
  buildStatus: z.string().optional(),
  buildRepo: z.string().optional(),
  project: z.string().optional(),
  archiveType: z.string(),
  repos: z.array(z.string()).max(1000).default([]),
  mappings: z
    .array(z.object({ input: z.string(), output: z.string().max(1000).nullish() }))
    .max(100)
    .default([]),
});

export function buildArchiveRoutes(deps: BuildArchiveDeps): readonly Route[] {
  return [
    bodyRoute({
      methods: ['POST'],
      pattern: 'artifactory/api/archive/buildArtifacts',
      right: 'user',
      body: archiveBody,
      handle: (request) => download(deps, request),
    }),
  ];
}

/** Of one run, of the newest (`LATEST`), or of the newest that was promoted to a status. */
async function download(deps: BuildArchiveDeps, request: ApiRequest<z.infer<typeof archiveBody>>): Promise<Reply> {
  const { body, caller } = request;
  const { buildName, buildNumber, buildStatus, repos } = body;
  if ((buildNumber === undefined) === (buildStatus === undefined)) {
    throw new AppError('invalid', 'Give either "buildNumber" or "buildStatus".');
  }
  const naming = parseMappings(body.mappings.map(({ input, output }) => ({ input, output: output ?? undefined })));
  const repo = requireBuildRepository(deps, body, caller.principal);
  request.exchange.note.repo = repo.key;
  const run = await requireRun(deps, repo, { name: buildName, number: buildNumber ?? `LATEST_${buildStatus}` });
  const { document } = await requireDocument(repo, run);
  const { found } = await locateArtifacts(deps, caller.principal, document);
  const wanted = found.filter((file) => repos.length === 0 || repos.includes(file.repo));
  const files = await openFiles(deps, caller.principal, nameFiles(wanted, naming));
  if (files.size === 0) {
    throw new AppError('not_found', `No artifacts of the build "${clip(run.name)}" were found for the archive.`);
  }
  const name = `${run.name}-${run.number}`.replaceAll('/', '-');
  return deps.folderArchives.replyWith(files, { name, type: body.archiveType, authenticated: caller.authenticated });
}
