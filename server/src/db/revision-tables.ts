/** Tables of the numbers that grow with every change of packages. */
import type { Generated } from 'kysely';

/** Grows whenever a version of the package is added, changed or removed. */
export interface PackageRevisionTable {
  repo_id: number;
  name: string;
  revision: number;
  /** Which of the repository's numbers grows with it; triggers keep this and the next. */
  slot: Generated<number>;
  /** What that number became with the last change. */
  changed: Generated<number>;
  /** How many rows of versions it has; triggers keep this and the next. */
  files: Generated<number>;
  /** When the last of its versions came, of those that are gone too. */
  published_at: Generated<number>;
}

/** Grows whenever one of the packages of its slot changes; triggers keep it. */
export interface RepositoryRevisionTable {
  repo_id: number;
  slot: number;
  revision: number;
}
