/** What the settings of a remote repository say of when and how its upstream is asked. */
import type { RemoteFacts } from '../../core/remote.ts';
import type { RepositoryRow } from '../../db/repositories.ts';
import { completeSettings, settingOf } from '../settings.ts';
import type { Synchronised } from './synchronisation.ts';

export type ChecksumPolicy = 'generate-if-absent' | 'fail' | 'ignore-and-generate' | 'pass-thru';

export interface RemoteSettings {
  /** How long what may change counts as unchanged; 0 asks each time. */
  readonly freshMs: number;
  /** How long an absence is remembered; 0 not at all. */
  readonly missedMs: number;
  /** How long anybody waits for news while there is an older copy. */
  readonly patienceMs: number;
  readonly offline: boolean;
  readonly hardFail: boolean;
  readonly stores: boolean;
  readonly bypassesHead: boolean;
  /** Whether folders show what the upstream lists, too. */
  readonly lists: boolean;
  /** What another server of this kind is asked for beside bytes; undefined for nothing. */
  readonly synchronises: Synchronised | undefined;
  readonly blocksPages: boolean;
  /** Media types that are taken although they are those of pages. */
  readonly acceptedPages: ReadonlySet<string>;
  readonly checksumPolicy: ChecksumPolicy;
}

export function remoteSettings(row: RepositoryRow): RemoteSettings {
  const flag = (name: string) => settingOf(name, row) === true;
  const seconds = (name: string) => Number(settingOf(name, row) ?? 0) * 1000;
  const text = (name: string) => String(settingOf(name, row) ?? '');
  return {
    freshMs: seconds('retrievalCachePeriodSecs'),
    missedMs: seconds('missedRetrievalCachePeriodSecs'),
    patienceMs: seconds('metadataRetrievalTimeoutSecs'),
    offline: flag('offline'),
    hardFail: flag('hardFail'),
    stores: flag('storeArtifactsLocally'),
    bypassesHead: flag('bypassHeadRequests'),
    lists: flag('listRemoteFolderItems') && !flag('offline') && !flag('blackedOut'),
    synchronises: synchronised(row),
    blocksPages: flag('blockMismatchingMimeTypes'),
    acceptedPages: new Set(
      text('mismatchingMimeTypesOverrideList')
        .split(',')
        .map((type) => type.trim().toLowerCase()),
    ),
    checksumPolicy: text('remoteRepoChecksumPolicyType') as ChecksumPolicy,
  };
}

interface ContentSynchronisation {
  readonly enabled?: boolean;
  readonly properties?: { readonly enabled?: boolean };
  readonly statistics?: { readonly enabled?: boolean };
  readonly source?: { readonly originAbsenceDetection?: boolean };
}

function synchronised(row: RepositoryRow): Synchronised | undefined {
  const content = (settingOf('contentSynchronisation', row) ?? {}) as ContentSynchronisation;
  const isOn = content.enabled === true;
  const what = {
    // An older switch for the same.
    properties: settingOf('synchronizeProperties', row) === true || (isOn && content.properties?.enabled === true),
    statistics: isOn && content.statistics?.enabled === true,
    absence: isOn && content.source?.originAbsenceDetection === true,
  };
  return what.properties || what.statistics || what.absence ? what : undefined;
}

/** The repository as formats may know it; undefined where its URL is none. */
export function remoteFacts(row: RepositoryRow): RemoteFacts | undefined {
  const url = URL.parse(String(row.config['url'] ?? ''));
  if (!url) return undefined;
  url.username = '';
  url.password = '';
  return { key: row.key, packageType: row.packageType, url, settings: completeSettings(row) };
}
