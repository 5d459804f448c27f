/** How a repository and its settings are shown: in a list, whole, in short, and to those who are no administrators. */
import { packageTypeOf } from '../core/package-types.ts';
import { isAdmin, type Principal } from '../core/principal.ts';
import { namesOf } from '../repositories/checks.ts';
import type { RepositoryDescription, RepositoryDirectory } from '../repositories/directory.ts';
import { completeSettings, type Settings } from '../repositories/settings.ts';

/** Artifactory's spelling of package types in lists; elsewhere they are lower case. */
export function displayPackageType(packageType: string): string {
  return packageTypeOf(packageType)?.displayName ?? packageType;
}

export interface Viewer {
  readonly principal: Principal;
  readonly repositories: RepositoryDirectory;
  /** Address of the REST API as the client reached it. */
  readonly root: string;
}

/** A row of the list. */
export function listRow(repository: RepositoryDescription, { root }: Viewer): Settings {
  const { key, rclass, packageType, config } = repository;
  const description = config['description'];
  return {
    key,
    ...(typeof description === 'string' && description !== '' && { description }),
    type: rclass.toUpperCase(),
    // Of a remote repository, where it fetches from.
    url: typeof config['url'] === 'string' ? config['url'] : `${root}/${key}`,
    packageType: displayPackageType(packageType),
  };
}

/** All settings for an administrator, the mere facts for others. */
export function wholeConfiguration(repository: RepositoryDescription, viewer: Viewer): Settings {
  if (!isAdmin(viewer.principal)) return facts(repository, viewer);
  const { key, rclass, packageType } = repository;
  const settings = completeSettings(repository);
  return { key, packageType, ...settings, ...ownMember(repository, settings, viewer), rclass };
}

/** The short form, which names its class `type`. */
export function shortConfiguration(repository: RepositoryDescription, viewer: Viewer): Settings {
  const { key, rclass, packageType } = repository;
  if (!isAdmin(viewer.principal)) return { ...facts(repository, viewer), type: rclass };
  return { key, packageType, ...completeSettings(repository, { short: true }), type: rclass };
}

function facts({ key, rclass, packageType, config }: RepositoryDescription, viewer: Viewer): Settings {
  const { repositories, principal } = viewer;
  return {
    key,
    packageType,
    description: config['description'] ?? '',
    rclass,
    ...(rclass === 'remote' && { url: config['url'] }),
    ...(rclass === 'virtual' && {
      repositories: namesOf(config['repositories']).filter((member) => repositories.describe(member, principal)),
    }),
  };
}

/** A federated repository is a member of its own federation. */
function ownMember({ key, rclass }: RepositoryDescription, settings: Settings, { root }: Viewer): Settings {
  if (rclass !== 'federated') return {};
  const members = settings['members'] as readonly { readonly url: string }[];
  const own = `${root}/${key}`;
  return members.some(({ url }) => url === own) ? {} : { members: [{ url: own, enabled: true }, ...members] };
}
