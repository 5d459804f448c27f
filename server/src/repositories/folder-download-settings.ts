/** Limits of folder downloads: what the configuration file says, and what an administrator set since. */
import { MIB } from '../config/fields.ts';
import type { Config } from '../config/load.ts';
import type { FolderArchiveLimits } from './folder-archive.ts';
import type { SystemConfiguration } from './system-configuration.ts';

/** The configuration file's limits of folder downloads, as the descriptor has them. */
export function folderDownloadOf(download: Config['archives']['download']) {
  return {
    enabled: download.enabled,
    enabledForAnonymous: download.enabledForAnonymous,
    maxConcurrentRequests: download.maxConcurrent,
    maxDownloadSizeMb: Math.ceil(download.maxBytes / MIB),
    maxFiles: download.maxFiles,
  };
}

/** Those in force, which an administrator can change while the server runs. */
export function folderArchiveLimits(configuration: SystemConfiguration): FolderArchiveLimits {
  const now = () => configuration.section('folderDownloadConfig') as ReturnType<typeof folderDownloadOf>;
  return {
    get enabled() {
      return now().enabled;
    },
    get enabledForAnonymous() {
      return now().enabledForAnonymous;
    },
    get maxConcurrent() {
      return now().maxConcurrentRequests;
    },
    get maxFiles() {
      return now().maxFiles;
    },
    get maxBytes() {
      return now().maxDownloadSizeMb * MIB;
    },
  };
}
