/** What people are shown of Maven's packages: what the POM says, which is small enough to be read again. */
import { bytesWithin, MAX_DEPENDENCIES, shownFacts, shownPerson, shownText, webUrl } from '../../core/described.ts';
import {
  type Dependency,
  type Description,
  type Fact,
  type PackageView,
  type Person,
  type ShownRelease,
  type ShownRow,
  versionOrder,
} from '../../core/package-view.ts';
import { childOf, textOf, type XmlNode, XmlProblem } from '../../lib/xml-reader.ts';
import { isPom, isSnapshot, parseMavenPath, SNAPSHOT } from './paths.ts';
import { factsOf, POM_LIMITS, type PomFacts, readPom } from './pom.ts';
import type { RowMetadata } from './rows.ts';
import { byReadVersion, type ReadVersion, readMavenVersion } from './version-order.ts';

/** A snapshot's time and build number behind its version. */
const BUILD = /-\d{8}\.\d{6}-\d+$/;

export const mavenView: PackageView = {
  // All builds of a snapshot are one version, as its folder is.
  versionOf(row) {
    const version = row.split('/', 1)[0] as string;
    return version === '' ? undefined : version.replace(BUILD, `-${SNAPSHOT}`);
  },
  rowPrefix: (version) => (version.endsWith(`-${SNAPSHOT}`) ? version.slice(0, -SNAPSHOT.length) : `${version}/`),
  order: versionOrder<ReadVersion>({ key: readMavenVersion, compare: byReadVersion }),
  isPreliminary: (version) => isSnapshot(version) || /[-.](?:alpha|beta|milestone|m|rc|cr)[-.]?\d*$/i.test(version),
  describe,
};

async function describe(release: ShownRelease): Promise<Description> {
  const pom = newestPom(release.rows);
  const known = (pom?.metadata as RowMetadata | null | undefined)?.pom;
  const read = pom && (await readAgain(release, pom));
  const facts = read ? factsOf(read) : known;
  if (!facts) return { facts: filesFact(release.rows) };
  return {
    title: facts.name,
    description: shownText(facts.description?.replace(/\s+/g, ' ')),
    licenses: (facts.licenses ?? []).flatMap((license) => shownText(license, 300) ?? []),
    homepage: webUrl(facts.url),
    source: webUrl(textOf(childOf(read, 'scm'), 'url')),
    issues: webUrl(textOf(childOf(read, 'issueManagement'), 'url')),
    authors: developersOf(read),
    dependencies: dependenciesOf(facts),
    facts: pomFacts(facts, read),
  };
}

/** The POM of the release, or of the last build of a snapshot. */
function newestPom(rows: readonly ShownRow[]): ShownRow | undefined {
  const poms = rows.filter(({ path }) => {
    const at = parseMavenPath(path);
    return at !== undefined && isPom(at);
  });
  return poms
    .map((row) => ({ row, version: readMavenVersion(row.row) }))
    .sort((one, other) => byReadVersion(one.version, other.version))
    .at(-1)?.row;
}

async function readAgain({ repo }: ShownRelease, { path }: ShownRow): Promise<XmlNode | undefined> {
  const asset = await repo.get(path);
  const bytes = asset && (await bytesWithin(asset, POM_LIMITS.maxBytes));
  try {
    return bytes && (await readPom(bytes));
  } catch (error) {
    if (error instanceof XmlProblem) return undefined;
    throw error;
  }
}

function dependenciesOf({ dependencies = [] }: PomFacts): Dependency[] {
  return dependencies.slice(0, MAX_DEPENDENCIES).map(({ group, artifact, version, scope, optional }) => ({
    name: `${shownText(group, 300) ?? ''}:${shownText(artifact, 300) ?? ''}`,
    range: shownText(version, 300) ?? '',
    scope: shownText(scope, 50) ?? 'compile',
    ...(optional && { optional }),
  }));
}

function developersOf(pom: XmlNode | undefined): Person[] {
  const developers = childOf(pom, 'developers')?.children ?? [];
  return developers.slice(0, 50).flatMap((developer) => {
    const [name, id, email, url] = ['name', 'id', 'email', 'url'].map((field) => textOf(developer, field));
    return shownPerson({ name: name ?? id, email, url }) ?? [];
  });
}

function pomFacts(facts: PomFacts, pom: XmlNode | undefined): Fact[] {
  const parent = childOf(pom, 'parent');
  const parts = ['groupId', 'artifactId', 'version'].map((field) => textOf(parent, field) ?? '?');
  return shownFacts([
    ['Packaging', facts.packaging],
    ['Plugin prefix', facts.goalPrefix],
    ['Parent', parent && parts.join(':')],
    ['Organization', textOf(childOf(pom, 'organization'), 'name')],
  ]);
}

/** Without a POM, what there is. */
function filesFact(rows: readonly ShownRow[]): Fact[] {
  const endings = new Set(rows.slice(0, 100).flatMap(({ path }) => /\.([A-Za-z0-9]{1,10})$/.exec(path)?.[1] ?? []));
  return endings.size === 0 ? [] : [{ name: 'Kinds of files', value: [...endings].sort().join(', ') }];
}
