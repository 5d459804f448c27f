/** What is said of repositories that are configured, but whose content this server does not serve yet. */
import { AppError } from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';

/** The refusal for a repository that the caller knows of; undefined where there is none, or one that is served. */
export function refusalOfUnserved(
  repositories: RepositoryDirectory,
  key: string,
  { principal, method }: { readonly principal: Principal; readonly method: string },
): AppError | undefined {
  const repository = repositories.describe(key, principal);
  if (!repository || (repository.rclass !== 'remote' && repository.rclass !== 'virtual')) return undefined;
  const writes = method !== 'GET' && method !== 'HEAD';
  if (repository.rclass === 'remote') {
    return new AppError(
      'not_found',
      writes
        ? `Could not find a local repository named ${key} to deploy to.`
        : `The repository "${key}" is remote: what it would fetch is not served by this server yet.`,
    );
  }
  if (!writes || repository.config['defaultDeploymentRepo'] !== undefined) {
    return new AppError('not_found', `The repository "${key}" is virtual and is not served by this server yet.`);
  }
  return new AppError(
    'not_supported',
    `No local repository was configured as local deployment repository for the (${key}) virtual repository.`,
    { headers: { Allow: 'GET' } },
  );
}
