/** The layouts that Artifactory comes with. */
import type { LayoutDefinition } from './layouts.ts';

/** Name, pattern of artifacts, and where they differ from the usual: folder and file expression, descriptor pattern. */
type Row = readonly [
  name: string,
  artifact: string,
  expressions?: { readonly folder: string; readonly file: string },
  descriptor?: string,
];

const TIMES = { folder: '\\d{14}', file: '\\d{14}' };
const SNAPSHOT = { folder: 'SNAPSHOT', file: 'SNAPSHOT|(?:(?:[0-9]{8}.[0-9]{6})-(?:[0-9]+))' };
const MODULE_ZIP = '[orgPath]/[module]/[module]-[baseRev](-[fileItegRev]).[ext]';
const SBT_FOLDER = '[org]/[module]/(scala_[scalaVersion<.+>])/(sbt_[sbtVersion<.+>])/[baseRev]/[type]s/';

const ROWS: readonly Row[] = [
  [
    'maven-2-default',
    '[orgPath]/[module]/[baseRev](-[folderItegRev])/[module]-[baseRev](-[fileItegRev])(-[classifier]).[ext]',
    SNAPSHOT,
    '[orgPath]/[module]/[baseRev](-[folderItegRev])/[module]-[baseRev](-[fileItegRev])(-[classifier]).pom',
  ],
  [
    'ivy-default',
    '[org]/[module]/[baseRev](-[folderItegRev])/[type]s/[module](-[classifier])-[baseRev](-[fileItegRev]).[ext]',
    TIMES,
    '[org]/[module]/[baseRev](-[folderItegRev])/[type]s/ivy-[baseRev](-[fileItegRev]).xml',
  ],
  [
    'gradle-default',
    '[org]/[module]/[baseRev](-[folderItegRev])/[module]-[baseRev](-[fileItegRev])(-[classifier]).[ext]',
    TIMES,
    '[org]/[module]/ivy-[baseRev](-[fileItegRev]).xml',
  ],
  [
    'maven-1-default',
    '[org]/[type]s/[module]-[baseRev](-[fileItegRev])(-[classifier]).[ext]',
    { folder: '.+', file: '.+' },
    '[org]/[type]s/[module]-[baseRev](-[fileItegRev]).pom',
  ],
  ['nuget-default', '[orgPath]/[module]/[module].[baseRev](-[fileItegRev]).nupkg'],
  ['npm-default', '[orgPath]/-/[module]-[baseRev](-[fileItegRev]).tgz'],
  ['bower-default', MODULE_ZIP],
  [
    'vcs-default',
    '[orgPath]/[module]/[refs<tags|branches>]/[baseRev]/[module]-[baseRev](-[fileItegRev])(-[classifier]).[ext]',
    { folder: '.*', file: '[a-zA-Z0-9]{40}' },
  ],
  ['sbt-default', `${SBT_FOLDER}[module](-[classifier]).[ext]`, TIMES, `${SBT_FOLDER}ivy.xml`],
  [
    'sbt-ivy-default',
    '[orgPath]/[module]/[baseRev](-[folderItegRev])/[module]-[baseRev](-[fileItegRev])(-[classifier]).[ext]',
    TIMES,
    '[orgPath]/[module]/[baseRev](-[folderItegRev])/ivy-[baseRev](-[fileItegRev])(-[classifier]).xml',
  ],
  ['simple-default', '[orgPath]/[module]/[module]-[baseRev].[ext]'],
  ['cargo-default', 'crates/[module]/[module]-[baseRev].[ext]'],
  ['composer-default', MODULE_ZIP],
  [
    'conan-default',
    '[org]/[module]/[baseRev]/[channel<[^/]+>]/[folderItegRev]/' +
      '(package/[package_id<[^/]+>]/[fileItegRev]/)[remainder<(?:.+)>]',
    { folder: '[^/]+', file: '[^/]+' },
  ],
  ['puppet-default', '[orgPath]/[module]/[orgPath]-[module]-[baseRev].tar.gz'],
  ['go-default', '[orgPath]/[module]/@v/v[baseRev](-[fileItegRev]).[ext]'],
  ['build-default', '[orgPath]/[module](-[fileItegRev]).[ext]'],
  ['terraform-module-default', '[namespace]/[module-name]/[provider]/[version].[ext]'],
  [
    'terraform-provider-default',
    '[namespace]/[provider-name]/[version]/terraform-provider-[provider-name]_[version]_[os]_[arch].[ext]',
  ],
  ['swift-default', '[scope]/[name]/[name]-[version].zip'],
  ['ansible-default', 'collections/[namespace]/[name]/[version]/[namespace]-[name]-[version].tar.gz'],
  ['nix-default', 'binary-cache/[narinfoHash]/[narinfoHash].narinfo'],
  ['luarocks-default', '[module]/[module]-[baseRev](-[fileItegRev]).[ext]'],
  ['skills-default', '[module]/[version]/[module]-[version].[ext]'],
  ['agent-plugins-default', '[module]/[version]/[module]-[version].[ext]'],
  ['agent-packages-default', '[scope]/[package-name]/[package-name]-[version].zip'],
];

export const BUILT_IN_LAYOUTS: readonly LayoutDefinition[] = ROWS.map(([name, artifact, expressions, descriptor]) => ({
  name,
  artifactPathPattern: artifact,
  distinctiveDescriptorPathPattern: descriptor !== undefined,
  ...(descriptor !== undefined && { descriptorPathPattern: descriptor }),
  folderIntegrationRevisionRegExp: expressions?.folder ?? '.*',
  fileIntegrationRevisionRegExp: expressions?.file ?? '.*',
}));
