/** The settings of a local repository as Artifactory names them, and what it answers for those nobody set. */
import { z } from 'zod';

const text = z.string().max(10_000);
const names = z.array(z.string().max(255)).max(100);
const count = z.int().min(0);

const SETTINGS = {
  description: text,
  notes: text,
  includesPattern: text,
  excludesPattern: text,
  repoLayoutRef: z.string().max(255),
  projectKey: z.string().max(32),
  environments: names,
  priorityResolution: z.boolean(),
  propertySets: names,
  blackedOut: z.boolean(),
  xrayIndex: z.boolean(),
  archiveBrowsingEnabled: z.boolean(),
  downloadRedirect: z.boolean(),
  cdnRedirect: z.boolean(),
  signedUrlTtl: count,
  checksumPolicyType: z.enum(['client-checksums', 'server-generated-checksums']),
  handleReleases: z.boolean(),
  handleSnapshots: z.boolean(),
  maxUniqueSnapshots: count,
  maxUniqueTags: count,
  snapshotVersionBehavior: z.enum(['unique', 'non-unique', 'deployer']),
  suppressPomConsistencyChecks: z.boolean(),
  dockerApiVersion: z.literal('V2'),
  blockPushingSchema1: z.boolean(),
  dockerTagRetention: count,
  dockerProjectId: z.string().max(255),
};

/** A body that creates or changes a repository. Fields this server does not know are dropped, as Artifactory does. */
export const repositoryBody = z.object({
  key: z.string().optional(),
  rclass: z.string().optional(),
  packageType: z.string().optional(),
  ...z.object(SETTINGS).partial().shape,
});
export type RepositoryBody = z.infer<typeof repositoryBody>;

const DEFAULTS = {
  description: '',
  notes: '',
  includesPattern: '**/*',
  excludesPattern: '',
  repoLayoutRef: 'simple-default',
  environments: [],
  priorityResolution: false,
  propertySets: [],
  blackedOut: false,
  xrayIndex: false,
  archiveBrowsingEnabled: false,
  downloadRedirect: false,
  cdnRedirect: false,
  signedUrlTtl: 90,
  checksumPolicyType: 'client-checksums',
  handleReleases: true,
  handleSnapshots: true,
  maxUniqueSnapshots: 0,
  maxUniqueTags: 0,
  snapshotVersionBehavior: 'unique',
  suppressPomConsistencyChecks: true,
  dockerApiVersion: 'V2',
  blockPushingSchema1: true,
  dockerTagRetention: 1,
  dockerProjectId: '',
};

/** Only what the body names, to be stored. */
export function settingsOf(body: RepositoryBody): Readonly<Record<string, unknown>> {
  const { key: _key, rclass: _rclass, packageType: _type, ...settings } = body;
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

/** All of them, with the defaults of those that were never set. */
export function completeSettings(settings: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { ...DEFAULTS, ...settings };
}

/** Artifactory's spelling of package types in lists; elsewhere they are lower case. */
const DISPLAY_NAMES = new Map(
  (
    'Maven Gradle Ivy SBT NuGet Gems Npm Bower Debian Pypi Puppet Docker Vagrant GitLfs Rpm VCS P2 Generic Opkg ' +
    'CocoaPods Conan BuildInfo Chef Composer Helm HelmOCI OCI Go CRAN Conda Cargo Alpine Swift Terraform ' +
    'TerraformBackend Pub HuggingFaceML ReleaseBundles Ansible'
  )
    .split(' ')
    .map((name) => [name.toLowerCase(), name]),
);

export function displayPackageType(packageType: string): string {
  return DISPLAY_NAMES.get(packageType) ?? packageType;
}
