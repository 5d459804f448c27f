/** Every package type a repository can have, whether a format of its own serves it yet or it is served as plain files. */

export const REPOSITORY_CLASSES = ['local', 'remote', 'virtual', 'federated'] as const;
export type RepositoryClass = (typeof REPOSITORY_CLASSES)[number];

export interface PackageType {
  /** As it is stored and written in configurations. */
  readonly name: string;
  /** As lists show it. */
  readonly displayName: string;
  readonly layout: string;
  readonly classes: readonly RepositoryClass[];
  /** Made by the server itself; nobody else can make one. */
  readonly system?: boolean;
}

const ALL = REPOSITORY_CLASSES;
const NO_VIRTUAL: readonly RepositoryClass[] = ['local', 'remote', 'federated'];
const OWN: readonly RepositoryClass[] = ['local', 'federated'];

function type(
  displayName: string,
  layout = 'simple-default',
  classes: readonly RepositoryClass[] = ALL,
  system = false,
): PackageType {
  return { name: displayName.toLowerCase(), displayName, layout, classes, ...(system && { system }) };
}

export const PACKAGE_TYPES: readonly PackageType[] = [
  type('Generic'),
  type('Docker'),
  type('OCI'),
  type('HelmOCI'),
  type('Maven', 'maven-2-default'),
  type('Gradle', 'maven-2-default'),
  type('Ivy', 'ivy-default'),
  type('SBT', 'sbt-default'),
  type('Npm', 'npm-default'),
  type('Pypi'),
  type('Helm'),
  type('Go', 'go-default'),
  type('NuGet', 'nuget-default'),
  type('Cargo', 'cargo-default', NO_VIRTUAL),
  type('Debian'),
  type('Rpm'),
  type('Alpine'),
  type('Gems'),
  type('Composer', 'composer-default'),
  type('Conan', 'conan-default'),
  type('Conda'),
  type('CRAN'),
  type('Chef'),
  type('CocoaPods'),
  type('Bower', 'bower-default'),
  type('Puppet', 'puppet-default'),
  type('Swift', 'swift-default'),
  type('Terraform', 'terraform-module-default'),
  type('TerraformBackend', 'simple-default', OWN),
  type('Opkg'),
  type('P2', 'simple-default', ['remote', 'virtual']),
  type('GitLfs'),
  type('VCS', 'simple-default', ['remote']),
  type('Vagrant', 'simple-default', OWN),
  type('Pub'),
  type('Hex'),
  type('Nix', 'nix-default'),
  type('Ansible', 'ansible-default'),
  type('HuggingFaceML', 'simple-default', NO_VIRTUAL),
  type('MachineLearning', 'simple-default', OWN),
  type('ReleaseBundles', 'maven-2-default', OWN),
  type('BuildInfo', 'simple-default', OWN),
  type('Trash', 'simple-default', ['local'], true),
];

const BY_NAME = new Map(PACKAGE_TYPES.map((packageType) => [packageType.name, packageType]));
/** Names that older releases used. */
const ALIASES = new Map([['yum', 'rpm']]);

/** The package type of this name in whatever case, by an older name too. */
export function packageTypeOf(name: string): PackageType | undefined {
  const lower = name.toLowerCase();
  return BY_NAME.get(ALIASES.get(lower) ?? lower);
}

/** Types whose files mean the same in each of the family. */
const FAMILIES: readonly (readonly string[])[] = [
  ['docker', 'oci', 'helmoci'],
  ['maven', 'gradle', 'ivy', 'sbt'],
];
/** Types that take any file. */
const PLAIN = new Set(['generic']);
/** Types in which a file is part of something that its path alone does not say. */
const STRUCTURED = new Set(['docker', 'oci', 'helmoci', 'trash']);

/** Whether a file of the one type can be copied or moved into a repository of the other. */
export function canExchange(from: string, to: string): boolean {
  if (from === to || FAMILIES.some((family) => family.includes(from) && family.includes(to))) return true;
  return (PLAIN.has(from) || PLAIN.has(to)) && !STRUCTURED.has(from) && !STRUCTURED.has(to);
}
