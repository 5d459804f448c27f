/** What people are shown of npm packages: all of it is in the rows. */
import semver from 'semver';
import {
  MAX_DEPENDENCIES,
  recordOf,
  shownFacts,
  shownPeople,
  shownReadme,
  shownText,
  shownTexts,
  webUrl,
} from '../../core/described.ts';
import {
  type Dependency,
  type Description,
  type Fact,
  type PackageView,
  type ShownRelease,
  versionOrder,
} from '../../core/package-view.ts';
import { attestationsPath, isPrerelease, readTarballPath } from './names.ts';
import { readRow } from './release.ts';
import { TAG_PROPERTY } from './tags.ts';

const SCOPES: readonly (readonly [field: string, scope: string])[] = [
  ['dependencies', 'runtime'],
  ['peerDependencies', 'peer'],
  ['optionalDependencies', 'optional'],
  ['devDependencies', 'dev'],
];

export const npmView: PackageView = {
  order: versionOrder<semver.SemVer | null>({
    key: (version) => semver.parse(version),
    compare: (one, other) =>
      one && other ? semver.compareBuild(one, other) : Number(one !== null) - Number(other !== null),
  }),
  isPreliminary: isPrerelease,
  tagProperty: TAG_PROPERTY,
  beside(path) {
    const tarball = readTarballPath(path);
    return tarball ? [attestationsPath(tarball.name, tarball.version)] : [];
  },
  describe,
};

async function describe({ rows }: ShownRelease): Promise<Description> {
  const row = rows.map(({ metadata }) => readRow({ metadata })).find((found) => found !== undefined);
  if (!row) return {};
  const manifest = recordOf(JSON.parse(`{${row.full}}`));
  const dist = recordOf(JSON.parse(`{${row.dist}}`));
  const readme =
    row.readme === undefined ? undefined : shownReadme(row.readme, { name: row.readmeFilename ?? 'README.md' });
  return {
    description: shownText(manifest['description']),
    licenses: licensesOf(manifest),
    homepage: webUrl(manifest['homepage']),
    source: repositoryUrl(manifest['repository']),
    issues: webUrl(recordOf(manifest['bugs'])['url'] ?? manifest['bugs']),
    authors: shownPeople([...listOf(manifest['author']), ...listOf(manifest['contributors'])]),
    keywords: shownTexts(manifest['keywords']),
    dependencies: dependenciesOf(manifest),
    deprecated: row.deprecated === undefined ? undefined : (shownText(row.deprecated) ?? ''),
    facts: factsOf(manifest, dist, row.attested),
    readme,
  };
}

/** One text, or the lists of old. */
function licensesOf({ license, licenses }: Readonly<Record<string, unknown>>): string[] {
  const all = [...listOf(license), ...listOf(licenses)];
  return all.slice(0, 20).flatMap((one) => shownText(typeof one === 'string' ? one : recordOf(one)['type'], 300) ?? []);
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
}

/** The address in the forms that the client takes: of git, with a shortened host, or only owner and name. */
function repositoryUrl(value: unknown): string | undefined {
  const text = shownText(typeof value === 'string' ? value : recordOf(value)['url'], 500);
  if (text === undefined) return undefined;
  const [, host = 'github', path] = /^(?:(github|gitlab|bitbucket):)?([\w.-]+\/[\w.-]+)$/.exec(text) ?? [];
  if (path !== undefined) return `https://${host}.${host === 'bitbucket' ? 'org' : 'com'}/${path}`;
  const plain = text
    .replace(/^git\+/, '')
    .replace(/^(?:git|ssh):\/\/(?:git@)?/, 'https://')
    .replace(/^git@([\w.-]+):/, 'https://$1/');
  return webUrl(plain.replace(/\.git(?=#|$)/, ''));
}

function dependenciesOf(manifest: Readonly<Record<string, unknown>>): Dependency[] {
  const optional = recordOf(manifest['optionalDependencies']);
  const found: Dependency[] = [];
  for (const [field, scope] of SCOPES) {
    const meta = recordOf(manifest['peerDependenciesMeta']);
    for (const [name, range] of Object.entries(recordOf(manifest[field]))) {
      // What is optional stands among the others too.
      if (found.length >= MAX_DEPENDENCIES || (field === 'dependencies' && Object.hasOwn(optional, name))) continue;
      const isOptional = scope === 'optional' || (scope === 'peer' && recordOf(meta[name])['optional'] === true);
      found.push({
        name: shownText(name, 300) ?? '',
        range: shownText(range, 300) ?? '',
        scope,
        ...(isOptional && { optional: true as const }),
      });
    }
  }
  return found;
}

function factsOf(
  manifest: Readonly<Record<string, unknown>>,
  dist: Readonly<Record<string, unknown>>,
  attested: string | undefined,
): Fact[] {
  const engines = Object.entries(recordOf(manifest['engines'])).slice(0, 10);
  const platform = (name: string) => shownTexts(manifest[name], 20).join(', ');
  const bin = recordOf(manifest['bin']);
  return shownFacts([
    ...engines.map(([name, range]) => [`Engine ${name.slice(0, 50)}`, shownText(range, 200)] as const),
    ['Module type', shownText(manifest['type'], 50)],
    ['Commands', Object.keys(bin).slice(0, 20).join(', ')],
    ['Systems', platform('os')],
    ['Processors', platform('cpu')],
    ['Files', typeof dist['fileCount'] === 'number' ? String(dist['fileCount']) : undefined],
    ['Unpacked size', typeof dist['unpackedSize'] === 'number' ? String(dist['unpackedSize']) : undefined],
    ['Runs scripts when it is installed', manifest['hasInstallScript'] === true ? 'yes' : undefined],
    ['Attested', attested],
  ]);
}
