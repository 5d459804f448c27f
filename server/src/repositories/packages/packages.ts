/** Everything that shows packages, put together. */
import type { Secrets } from '../../auth/secrets.ts';
import type { Database } from '../../db/database.ts';
import type { RepositoryDirectory } from '../directory.ts';
import { PackageCatalogue } from './catalogue.ts';
import { PageMarks } from './page-mark.ts';
import { PackageReleases } from './releases.ts';
import { PackageVersions } from './versions.ts';

export function openPackages(deps: {
  readonly database: Database;
  readonly repositories: RepositoryDirectory;
  readonly secrets: Pick<Secrets, 'seal' | 'open'>;
}) {
  const { database, repositories } = deps;
  const versions = new PackageVersions(database);
  const marks = new PageMarks(deps.secrets);
  const catalogue = new PackageCatalogue({ database, repositories, versions, marks });
  return { catalogue, releases: new PackageReleases({ database, catalogue, versions, marks }) };
}
