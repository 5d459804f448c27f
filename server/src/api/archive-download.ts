/** Folders and whole repositories, downloaded as one archive. */
import { AppError } from '../core/errors.ts';
import { clip, parseRepoPath } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import { decodeSegment } from '../core/target.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import type { FolderArchives } from '../repositories/folder-archive.ts';
import { type ApiRequest, isSwitchedOn, READ, type Route, route } from './route.ts';

export interface ArchiveDownloadDeps {
  readonly repositories: RepositoryDirectory;
  readonly folderArchives: FolderArchives;
}

const DOWNLOAD = 'artifactory/api/archive/download';

export function archiveDownloadRoutes(deps: ArchiveDownloadDeps): readonly Route[] {
  const handle = (request: ApiRequest) => download(deps, request);
  return [
    route({ methods: READ, pattern: `${DOWNLOAD}/{repo}`, right: 'reader', handle }),
    route({ methods: READ, pattern: `${DOWNLOAD}/{repo}/{path...}`, right: 'reader', handle }),
  ];
}

async function download(
  { repositories, folderArchives }: ArchiveDownloadDeps,
  { params, query, caller, exchange }: ApiRequest,
): Promise<Reply> {
  const key = params['repo'] ?? '';
  const repo = repositories.get(key, caller.principal);
  if (!repo) {
    if (!caller.authenticated) throw new AppError('unauthenticated', 'Authentication is required');
    throw new AppError('not_found', `There is no repository "${clip(key)}", or you may not use it.`);
  }
  exchange.note.repo = repo.key;
  const segments = exchange.target.segments.slice(DOWNLOAD.split('/').length + 1);
  const names = segments.map((segment) => decodeSegment(segment.split(';', 1)[0] ?? ''));
  if (names.some((name) => name.includes('%2F'))) {
    throw new AppError('invalid', 'The path holds an encoded slash. Send "/" where folders are separated.');
  }
  const folder = parseRepoPath((names.at(-1) === '' ? names.slice(0, -1) : names).join('/'));
  return folderArchives.reply(repo, folder, {
    type: query.get('archiveType') ?? '',
    withChecksums: isSwitchedOn(query.get('includeChecksumFiles')),
    authenticated: caller.authenticated,
  });
}
