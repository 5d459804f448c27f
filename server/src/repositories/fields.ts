/**
 * Every field of a repository's configuration: what it may hold, which classes have it, and what is answered where
 * nobody set it. From this table come the schemas, the answers and the page about what each field does here.
 */
import { defaultLayoutOf } from '../core/layouts.ts';
import type { RepositoryClass } from '../core/package-types.ts';

export type FieldKind = 'text' | 'flag' | 'count' | 'names' | 'members' | 'headers' | 'synchronisation';

export interface SettingField {
  readonly name: string;
  readonly kind: FieldKind;
  readonly classes: readonly RepositoryClass[];
  /** The only values that are taken, in whatever case. */
  readonly choices?: readonly string[];
  /** What is answered where it was never set; undefined leaves the field out of the answer. */
  fallback(packageType: string, config: Readonly<Record<string, unknown>>): unknown;
  /** Whether the short form of a configuration has it too. */
  readonly common: boolean;
  /** Kept encrypted, and never shown. */
  readonly secret: boolean;
  /** What it does on this server; undefined where it is kept and shown but changes nothing. */
  readonly effect?: string;
}

interface Options {
  readonly choices?: readonly string[];
  readonly secret?: boolean;
  readonly effect?: string;
}

type Fallback = unknown | ((packageType: string, config: Readonly<Record<string, unknown>>) => unknown);

/** Left out of the answer where it was never set. */
const NONE = () => undefined;

const CLASSES: Readonly<Record<string, RepositoryClass>> = {
  L: 'local',
  R: 'remote',
  V: 'virtual',
  F: 'federated',
};

/** `classes` are the initials of those that have the field; a `+` behind them puts it into the short form. */
function field(
  name: string,
  classes: string,
  kind: FieldKind,
  fallback?: Fallback,
  options: Options = {},
): SettingField {
  return {
    name,
    kind,
    classes: [...classes].flatMap((letter) => CLASSES[letter] ?? []),
    fallback: (packageType, config) => (typeof fallback === 'function' ? fallback(packageType, config) : fallback),
    common: classes.endsWith('+'),
    secret: options.secret ?? false,
    ...(options.choices && { choices: options.choices }),
    ...(options.effect !== undefined && { effect: options.effect }),
  };
}

const text = (name: string, classes: string, fallback: Fallback = '', options?: Options) =>
  field(name, classes, 'text', fallback, options);
const flag = (name: string, classes: string, fallback: Fallback = false, options?: Options) =>
  field(name, classes, 'flag', fallback, options);
const count = (name: string, classes: string, fallback: Fallback = 0, options?: Options) =>
  field(name, classes, 'count', fallback, options);
const names = (name: string, classes: string, fallback: Fallback = [], options?: Options) =>
  field(name, classes, 'names', fallback, options);
const choice = (name: string, classes: string, fallback: string, others: readonly string[], options?: Options) =>
  field(name, classes, 'text', fallback, { ...options, choices: [fallback, ...others] });

/** Answers one thing for some package types and another for the rest. */
const among = (packageTypes: readonly string[], inside: unknown, outside: unknown) => (packageType: string) =>
  packageTypes.includes(packageType) ? inside : outside;

const GO_PATTERNS = [
  '**/github.com/**',
  '**/go.googlesource.com/**',
  '**/gopkg.in/**',
  '**/golang.org/**',
  '**/k8s.io/**',
];
const NO_SYNCHRONISATION = {
  enabled: false,
  statistics: { enabled: false },
  properties: { enabled: false },
  source: { originAbsenceDetection: false },
};
const SHOWN = 'shown in lists and answers';

/** Set by hand at creation or derived from it; everything else is a field of the table. */
export const IDENTITY_FIELDS = ['key', 'rclass', 'packageType'] as const;

const COMMON: readonly SettingField[] = [
  text('description', 'LRVF+', '', { effect: SHOWN }),
  text('notes', 'LRVF+', '', { effect: SHOWN }),
  text('includesPattern', 'LRVF+', '**/*', { effect: 'limits what is deployed and served' }),
  text('excludesPattern', 'LRVF+', '', { effect: 'limits what is deployed and served' }),
  text('projectKey', 'LRVF+', NONE, {
    effect: 'filters lists; a repository created with one must have a key that begins with it',
  }),
  names('environments', 'LRVF+'),
  flag('priorityResolution', 'LRF+', false, {
    effect: 'asked first in virtual repositories, and alone for packages that it has',
  }),
  names('propertySets', 'LRF+'),
  flag('blackedOut', 'LRF+', false, { effect: 'nothing is deployed or served, and virtual repositories pass it over' }),
  flag('xrayIndex', 'LRF+'),
  flag('archiveBrowsingEnabled', 'LRF+', false, { effect: 'browsers show files instead of saving them' }),
  flag('downloadRedirect', 'LRF+', false, {
    effect: 'sends clients to signed addresses of the bucket, even where `storage.redirect` is off',
  }),
  flag('cdnRedirect', 'LRF+'),
  count('signedUrlTtl', 'LRVF+', 90),
  count('xrayDataTtl', 'LRF+', 90),
  text('primaryKeyPairRef', 'LRVF', '', { effect: 'its public key is handed out' }),
  text('secondaryKeyPairRef', 'LRVF', '', { effect: 'its public key is handed out' }),
];

const LAYOUT: readonly SettingField[] = [
  text(
    'repoLayoutRef',
    'LRF+',
    (packageType: string, config: Readonly<Record<string, unknown>>) =>
      defaultLayoutOf(packageType, { rclass: String(config['rclass'] ?? ''), terraformType: config['terraformType'] }),
    {
      effect: 'how paths read as modules and revisions',
    },
  ),
  text('repoLayoutRef', 'V', NONE, { effect: 'how paths read as modules and revisions' }),
];

/** Repositories that things are deployed to, and their remote counterparts. */
const HOLDING: readonly SettingField[] = [
  choice('checksumPolicyType', 'LF', 'client-checksums', ['server-generated-checksums'], {
    effect: 'whether checksums that clients declare must fit',
  }),
  flag('handleReleases', 'LRF', true, { effect: 'false refuses releases, as the layout tells them' }),
  flag('handleSnapshots', 'LRF', true, { effect: 'false refuses snapshots, as the layout tells them' }),
  count('maxUniqueSnapshots', 'LRF', 0, { effect: 'older unique snapshots are removed after a deploy; 0 keeps all' }),
  count('maxUniqueTags', 'LF', 0, { effect: 'the tags pushed longest ago are removed after a push; 0 keeps all' }),
  choice('snapshotVersionBehavior', 'LF', 'unique', ['non-unique', 'deployer'], {
    effect: 'which names snapshots of Maven get',
  }),
  flag('suppressPomConsistencyChecks', 'LRF', among(['maven'], false, true), {
    effect: 'false refuses POMs whose coordinates are not those of their path',
  }),
  choice('dockerApiVersion', 'LRVF', 'V2', ['V1'], {
    effect: 'images are served by `V2`, which is kept for them in any case',
  }),
  flag('blockPushingSchema1', 'LRF', true),
  count('dockerTagRetention', 'LF', 1),
  text('dockerProjectId', 'LRF'),
  flag('debianTrivialLayout', 'LF'),
  flag('ddebSupported', 'LF'),
  names('optionalIndexCompressionFormats', 'LVF', ['bz2']),
  count('yumRootDepth', 'LF'),
  flag('calculateYumMetadata', 'LF'),
  flag('enableFileListsIndexing', 'LF'),
  text('yumGroupFileNames', 'LF'),
  flag('forceNugetAuthentication', 'LRVF'),
  flag('forceConanAuthentication', 'LRVF'),
  flag('forceP2Authentication', 'LRVF'),
  flag('forceMavenAuthentication', 'LRVF'),
  flag('cargoAnonymousAccess', 'LRF'),
  flag('cargoInternalIndex', 'LRF'),
  choice('terraformType', 'LRVF', 'MODULE', ['PROVIDER', 'BACKEND'], { effect: 'the default layout' }),
  flag('encryptStates', 'LF', true),
  flag('forceNonDuplicateChart', 'LF'),
  flag('forceMetadataNameVersion', 'LF'),
  flag('enableNormalizedVersion', 'LRVF'),
  text('mlRepoLayout', 'LRF', NONE),
  flag('enableComposerV1Indexing', 'LF'),
  field('members', 'F', 'members', []),
  text('proxy', 'F', ''),
  flag('disableProxy', 'F'),
];

const TRANSPORT: readonly SettingField[] = [
  text('url', 'R+', NONE, { effect: 'the upstream; a change of its host or port removes the secrets' }),
  text('username', 'R+', '', { effect: 'sent to the host of `url` only' }),
  text('password', 'R+', '', { secret: true, effect: 'sent to the host of `url` only; kept encrypted' }),
  text('proxy', 'R+', NONE, { effect: 'key of a proxy of the descriptor; without it the one with `platformDefault`' }),
  flag('disableProxy', 'R+', false, { effect: 'asks directly' }),
  text('remoteRepoLayoutRef', 'R+', NONE),
  flag('hardFail', 'R+', false, { effect: 'a failing upstream fails the request, even where an older copy is kept' }),
  flag('offline', 'R+', false, { effect: 'serves what is kept and asks nothing' }),
  flag('storeArtifactsLocally', 'R+', true, { effect: 'switched off, files are passed on and not kept' }),
  count('socketTimeoutMillis', 'R+', 15_000, { effect: 'how long an answer may take to begin, and to go on' }),
  text('localAddress', 'R+', '', { effect: 'the address of this machine to ask from' }),
  count('retrievalCachePeriodSecs', 'R+', among(['docker', 'oci', 'helmoci'], 21_600, 7200), {
    effect: 'how long what may change is served without asking again',
  }),
  count('metadataRetrievalTimeoutSecs', 'R+', 60, { effect: 'how long anybody waits for news of what is kept' }),
  count('missedRetrievalCachePeriodSecs', 'R+', 1800, { effect: 'how long it is remembered that there is none' }),
  count('unusedArtifactsCleanupPeriodHours', 'R+', 0, {
    effect: 'files in the cache that nobody fetched for so long are removed, once an hour; 0 keeps them',
  }),
  flag('unusedArtifactsCleanupEnabled', 'R'),
  count('assumedOfflinePeriodSecs', 'R+', 300, { effect: 'how long an upstream that cannot be reached is left alone' }),
  flag('fetchJarsEagerly', 'R'),
  flag('fetchSourcesEagerly', 'R'),
  choice('remoteRepoChecksumPolicyType', 'R', 'generate-if-absent', ['fail', 'ignore-and-generate', 'pass-thru'], {
    effect: 'what is done where the upstream tells no checksums, or wrong ones',
  }),
  flag('rejectInvalidJars', 'R', false, { effect: 'jars that cannot be opened are refused' }),
  flag('shareConfiguration', 'R+'),
  flag('synchronizeProperties', 'R+', false, { effect: 'as `contentSynchronisation` with `properties`' }),
  flag('blockMismatchingMimeTypes', 'R+', true, { effect: 'an HTML page in the place of a file is refused' }),
  text('mismatchingMimeTypesOverrideList', 'R+', '', { effect: 'media types of pages that are taken nevertheless' }),
  flag('allowAnyHostAuth', 'R+', false, {
    effect: 'credentials are sent to hosts that the upstream leads to; better not',
  }),
  flag('enableCookieManagement', 'R+', false, { effect: 'cookies of the upstream are kept and sent back' }),
  flag('bypassHeadRequests', 'R+', false, { effect: 'the upstream is never asked for headers alone' }),
  text('clientTlsCertificate', 'R+', '', { effect: 'alias of the certificate that is shown to the upstream' }),
  flag('listRemoteFolderItems', 'R', false, { effect: 'folders show what the upstream lists, too' }),
  field('contentSynchronisation', 'R+', 'synchronisation', NO_SYNCHRONISATION, {
    effect:
      'of another server of this kind: `properties` are copied, `statistics` shown as remote downloads, and with `originAbsenceDetection` what it has no more gets the property `source.absent`',
  }),
  flag('externalDependenciesEnabled', 'RV'),
  names('externalDependenciesPatterns', 'RV', among(['go'], GO_PATTERNS, ['**'])),
  text('externalDependenciesRemoteRepo', 'RV', NONE),
  flag('enableTokenAuthentication', 'R', false, {
    effect: 'credentials are sent only when the upstream asks for them',
  }),
  choice('vcsType', 'R', 'GIT', []),
  choice('vcsGitProvider', 'R', 'GITHUB', [
    'BITBUCKET',
    'OLDSTASH',
    'STASH',
    'ARTIFACTORY',
    'GITHUBENTERPRISE',
    'GITLAB',
    'CUSTOM',
  ]),
  text('vcsGitDownloadUrl', 'R'),
  text('bowerRegistryUrl', 'R', 'https://registry.bower.io'),
  text('composerRegistryUrl', 'R', 'https://packagist.org'),
  text('podsSpecsRepoUrl', 'R', 'https://github.com/CocoaPods/Specs'),
  text('podsCdnUrl', 'R', NONE),
  text('gitRegistryUrl', 'R', ''),
  text('feedContextPath', 'R', 'api/v2'),
  text('downloadContextPath', 'R', 'api/v2/package'),
  text('v3FeedUrl', 'R', 'https://api.nuget.org/v3/index.json'),
  text('symbolServerUrl', 'R', 'https://symbols.nuget.org/download/symbols'),
  text('pyPIRegistryUrl', 'R', ''),
  text('pyPIRepositorySuffix', 'R', 'simple'),
  text('terraformRegistryUrl', 'R', 'https://registry.terraform.io'),
  text('terraformProvidersUrl', 'R', 'https://releases.hashicorp.com'),
  text('chartsBaseUrl', 'R'),
  text('hexPublicKey', 'R', NONE),
  flag('propagateQueryParams', 'R'),
  flag('retrieveSha256FromServer', 'R'),
  text('queryParams', 'R+', '', { effect: '`name=value&name=value`, added to whatever is asked of the host of `url`' }),
  field('customHttpHeaders', 'R+', 'headers', [], { effect: 'sent to the host of `url` only' }),
  flag('curated', 'R'),
  flag('passThrough', 'R'),
  flag('disableUrlNormalization', 'R+', false, { effect: 'double slashes stay in what is asked' }),
  flag('sendContext', 'R'),
  flag('gitLabResolveSubgroups', 'R'),
  text('authUrl', 'R', NONE),
  flag('podsForceModifyIndex', 'R'),
];

const AGGREGATION: readonly SettingField[] = [
  names('repositories', 'V+', [], { effect: 'whose content is served, in this order within each class' }),
  text('defaultDeploymentRepo', 'V', NONE, { effect: 'what is deployed goes there' }),
  flag('artifactoryRequestsCanRetrieveRemoteArtifacts', 'V+', false, {
    effect: 'whether requests of other servers for their clients may lead to requests to upstreams',
  }),
  flag('hideUnauthorizedResources', 'V+', false, {
    effect: 'what the caller may not read anywhere is answered as not found',
  }),
  count('virtualRetrievalCachePeriodSecs', 'V', among(['helm', 'npm'], 600, 7200)),
  choice('pomRepositoryReferencesCleanupPolicy', 'V', 'discard_active_reference', ['discard_any_reference', 'nothing']),
  text('keyPair', 'V'),
  text('debianDefaultArchitectures', 'V', 'amd64,i386'),
  flag('resolveDockerTagsByTimestamp', 'V', false, {
    effect: 'of a release that several members have, that which changed last is served',
  }),
  flag('useNamespaces', 'V'),
  text('p2Urls', 'V', NONE),
  text('p2OriginalUrl', 'V', NONE),
  flag('cachingLocalForeignLayersEnabled', 'V'),
  choice('localNameShadowing', 'V', 'enforce', ['warn', 'off'], {
    effect:
      'whether remote members are kept from answering for packages that a local member has, are asked but noted, or are simply asked',
  }),
  names('localNameShadowingExceptions', 'V', [], {
    effect:
      'names of packages, or patterns of them, that remote members may answer for although a local member has them',
  }),
];

export const FIELDS: readonly SettingField[] = [...COMMON, ...LAYOUT, ...HOLDING, ...TRANSPORT, ...AGGREGATION];

/** The fields that repositories of a class have. */
export function fieldsOf(rclass: RepositoryClass): readonly SettingField[] {
  return FIELDS.filter(({ classes }) => classes.includes(rclass));
}
