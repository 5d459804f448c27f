/** What is said of remote repositories, to which nothing can be deployed. */
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';

/** The refusal for a remote repository that the caller knows of; undefined where there is none such. */
export function refusalOfUnserved(
  repositories: RepositoryDirectory,
  key: string,
  { principal, method }: { readonly principal: Principal; readonly method: string },
): AppError | undefined {
  if (repositories.describe(key, principal)?.rclass !== 'remote') return undefined;
  const writes = method !== 'GET' && method !== 'HEAD';
  return new AppError(
    'not_found',
    writes
      ? `Could not find a local repository named ${clip(key)} to deploy to.`
      : `The repository "${clip(key)}" is remote: what it would fetch is not served by this server yet.`,
  );
}
