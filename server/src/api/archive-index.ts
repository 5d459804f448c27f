/** Having the contents of archives looked up once more. */
import { AppError } from '../core/errors.ts';
import { clip, joinPath } from '../core/ids.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { type Route, route } from './route.ts';
import { placeOf } from './storage/place.ts';

export interface ArchiveIndexApiDeps {
  readonly repositories: RepositoryDirectory;
  /** Has the archives at and below a path read by a job. */
  reindexArchives(repo: string, path: string): Promise<void>;
}

const ALL = 'artifactory/api/archiveIndex';

export function archiveIndexRoutes({ repositories, reindexArchives }: ArchiveIndexApiDeps): readonly Route[] {
  return [`${ALL}/{repo}`, `${ALL}/{repo}/{path...}`].map((pattern) =>
    route({
      methods: ['POST'],
      pattern,
      right: 'admin',
      async handle(request) {
        const { repo, path } = placeOf(repositories, request);
        if (!(await repo.folder(path)) && !(await repo.get(path))) {
          throw new AppError('not_found', `There is no item "${clip(joinPath(repo.key, path), 300)}".`);
        }
        await reindexArchives(repo.key, path);
        return { status: 202, text: 'The archives are being indexed' };
      },
    }),
  );
}
