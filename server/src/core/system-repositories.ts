/** Repositories that the server makes for itself. */
import { parseRepoKey } from './ids.ts';

/** Where deleted items wait until they are restored or their time is over. */
export const TRASH_KEY = parseRepoKey('auto-trashcan');
/** Where the documents of builds lie that name no other place. */
export const BUILD_INFO_KEY = parseRepoKey('artifactory-build-info');

export const SYSTEM_REPOSITORIES = [
  { key: TRASH_KEY, packageType: 'trash' },
  { key: BUILD_INFO_KEY, packageType: 'buildinfo' },
] as const;
