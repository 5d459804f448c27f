/** The configuration descriptor: everything an administrator set, as the XML document that tools of Artifactory read. */
import { builtInLayouts, layoutOf } from '../core/layouts.ts';
import { REPOSITORY_CLASSES, type RepositoryClass } from '../core/package-types.ts';
import { renderXml, type XmlElements, type XmlValue } from '../lib/xml-writer.ts';
import type { RepositoryDescription } from '../repositories/directory.ts';
import { completeSettings, type Settings } from '../repositories/settings.ts';
import type { SystemConfiguration } from '../repositories/system-configuration.ts';

export interface DescriptorParts {
  readonly configuration: SystemConfiguration;
  readonly repositories: readonly RepositoryDescription[];
  readonly anonymousAccess: boolean;
  readonly hideUnauthorized: boolean;
}

const NAMESPACE = 'http://artifactory.jfrog.org/xsd/3.1.41';

/** The whole document, its sections in the order in which Artifactory has them. Secrets are masked. */
export function renderDescriptor(parts: DescriptorParts): string {
  const { configuration } = parts;
  const section = (name: string) => plain(configuration.section(name));
  return renderXml(
    'config',
    {
      serverName: section('serverName'),
      offlineMode: section('offlineMode'),
      helpLinksEnabled: section('helpLinksEnabled'),
      fileUploadMaxSizeMb: section('fileUploadMaxSizeMb'),
      dateFormat: section('dateFormat'),
      mailServer: section('mailServer'),
      security: {
        anonAccessEnabled: parts.anonymousAccess,
        hideUnauthorizedResources: parts.hideUnauthorized,
      },
      backups: { backup: elements(configuration.section('backups'), 'key') },
      ...Object.fromEntries(REPOSITORY_CLASSES.map((rclass) => repositoryList(rclass, parts.repositories))),
      proxies: { proxy: elements(configuration.section('proxies'), 'key') },
      reverseProxies: { reverseProxy: elements(configuration.section('reverseProxies'), 'key') },
      propertySets: { propertySet: propertySets(configuration.section('propertySets')) },
      urlBase: section('urlBase'),
      repoLayouts: { repoLayout: layouts(configuration) },
      gcConfig: section('gcConfig'),
      cleanupConfig: section('cleanupConfig'),
      virtualCacheCleanupConfig: section('virtualCacheCleanupConfig'),
      folderDownloadConfig: section('folderDownloadConfig'),
      trashcanConfig: section('trashcanConfig'),
    },
    NAMESPACE,
  );
}

function repositoryList(rclass: RepositoryClass, all: readonly RepositoryDescription[]): [string, XmlElements] {
  const rows = all
    .filter((repository) => repository.rclass === rclass)
    .map((repository) => repositoryElement(repository));
  return [`${rclass}Repositories`, { [`${rclass}Repository`]: rows }];
}

function repositoryElement(repository: RepositoryDescription): XmlElements {
  const { key, packageType } = repository;
  const { propertySets: sets, repositories, environments, ...settings } = completeSettings(repository);
  return {
    key,
    type: packageType,
    ...(plain(settings) as XmlElements),
    propertySets: { propertySetRef: plain(sets) },
    environments: { environment: plain(environments) },
    ...(repositories !== undefined && { repositories: { repositoryRef: plain(repositories) } }),
  };
}

function layouts({ layouts: own }: SystemConfiguration): XmlElements[] {
  const names = new Set([...builtInLayouts(), ...own.keys()]);
  return [...names].flatMap((name) => {
    const layout = layoutOf(name, own);
    if (!layout) return [];
    return [
      {
        name,
        artifactPathPattern: layout.artifactPathPattern,
        distinctiveDescriptorPathPattern: layout.distinctiveDescriptorPathPattern,
        descriptorPathPattern: layout.descriptorPathPattern,
        folderIntegrationRevisionRegExp: layout.folderIntegrationRevisionRegExp,
        fileIntegrationRevisionRegExp: layout.fileIntegrationRevisionRegExp,
      },
    ];
  });
}

function propertySets(all: unknown): XmlElements[] {
  return entries(all).map(([name, set]) => ({
    name,
    visible: plain(set['visible']),
    properties: {
      property: entries(set['properties']).map(([property, rules]) => ({
        name: property,
        closedPredefinedValues: plain(rules['closedPredefinedValues']),
        multipleChoice: plain(rules['multipleChoice']),
        predefinedValues: {
          predefinedValue: entries(rules['predefinedValues']).map(([value, options]) => ({
            value,
            defaultValue: plain(options['defaultValue']),
          })),
        },
      })),
    },
  }));
}

/** Elements with names: in the document each carries its own. */
function elements(all: unknown, nameAs: string): XmlElements[] {
  return entries(all).map(([name, value]) => ({ [nameAs]: name, ...(plain(value) as XmlElements) }));
}

function entries(value: unknown): [string, Settings][] {
  return typeof value === 'object' && value !== null ? (Object.entries(value) as [string, Settings][]) : [];
}

/** A value of JSON as XML has it: lists repeat the element they are in. */
function plain(value: unknown): XmlValue {
  if (Array.isArray(value)) return value.map((item) => plain(item));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]));
  }
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined;
}
