/** What people are shown of projects: the rows know little, the metadata in the archives all. */

import { MAX_DEPENDENCIES, shownFacts, shownPerson, shownReadme, shownText, webUrl } from '../../core/described.ts';
import { isAppError } from '../../core/errors.ts';
import {
  type Dependency,
  type Description,
  type PackageView,
  type Person,
  type ShownRelease,
  type ShownRow,
  versionOrder,
} from '../../core/package-view.ts';
import { readDistribution } from './archive.ts';
import { type CoreMetadata, fieldOf, fieldsOf } from './metadata.ts';
import { distributionAt, METADATA_ENDING, PROVENANCE_ENDING, SIGNATURE_ENDING } from './names.ts';
import type { ReleaseFile } from './release.ts';
import { compareParsed, isPrerelease, type ParsedVersion, parseVersion } from './versions.ts';

const PREFERRED: readonly ReleaseFile['kind'][] = ['wheel', 'sdist', 'egg'];
/** Distributions that say nothing are passed over, but not for ever. */
const MAX_TRIED = 3;

export const pypiView: PackageView = {
  order: versionOrder<ParsedVersion | undefined>({
    key: parseVersion,
    compare: (one, other) =>
      one && other ? compareParsed(one, other) : Number(one !== undefined) - Number(other !== undefined),
  }),
  isPreliminary(version) {
    const parsed = parseVersion(version);
    return !parsed || isPrerelease(parsed);
  },
  beside: (path) =>
    [METADATA_ENDING, PROVENANCE_ENDING, SIGNATURE_ENDING].map((ending) => `${path}${ending}` as typeof path),
  describe,
};

async function describe(release: ShownRelease): Promise<Description> {
  const files = release.rows.map((row) => ({ row, file: (row.metadata ?? {}) as Partial<ReleaseFile> }));
  const rank = ({ kind }: Partial<ReleaseFile>) => PREFERRED.indexOf(kind ?? 'egg');
  files.sort((one, other) => rank(one.file) - rank(other.file));
  const yanked = files.every(({ file }) => file.yanked !== undefined) ? files[0]?.file.yanked : undefined;
  const deprecated = yanked === undefined ? undefined : (shownText(yanked) ?? '');
  for (const { row } of files.slice(0, MAX_TRIED)) {
    const metadata = await metadataOf(release, row);
    if (metadata) return { ...describeMetadata(metadata), deprecated };
  }
  const [first] = files;
  return {
    description: shownText(first?.file.summary),
    facts: shownFacts([['Python', first?.file.requiresPython]]),
    deprecated,
  };
}

async function metadataOf({ repo }: ShownRelease, { path }: ShownRow): Promise<CoreMetadata | undefined> {
  const name = distributionAt(path);
  const asset = name && (await repo.get(path));
  if (!asset) return undefined;
  try {
    const source = { size: asset.size, open: (range?: { start: number; end: number }) => asset.content.open(range) };
    return (await readDistribution(name, source)).metadata;
  } catch (error) {
    // What came from an upstream, or lay here before, may be no distribution that is taken.
    if (isAppError(error, 'invalid')) return undefined;
    throw error;
  }
}

/** What core metadata says. */
export function describeMetadata(metadata: CoreMetadata): Description {
  const text = (name: string) => shownText(fieldOf(metadata, name));
  const links = linksOf(metadata);
  const link = (...names: string[]) => names.map((name) => links.get(name)).find((url) => url !== undefined);
  const type = text('description-content-type');
  return {
    title: text('name'),
    description: text('summary'),
    licenses: licensesOf(metadata),
    homepage: webUrl(fieldOf(metadata, 'home-page')) ?? link('homepage', 'home', 'documentation', 'docs'),
    source: link('source', 'sourcecode', 'repository', 'code', 'github', 'sources'),
    issues: link('issues', 'issuetracker', 'bugtracker', 'tracker', 'bugreports', 'bugs'),
    authors: peopleOf(metadata),
    keywords: (text('keywords') ?? '')
      .split(/\s*,\s*|\s+/)
      .filter((word) => word !== '')
      .slice(0, 100),
    dependencies: fieldsOf(metadata, 'requires-dist').slice(0, MAX_DEPENDENCIES).map(dependencyOf),
    facts: shownFacts([
      ['Python', fieldOf(metadata, 'requires-python')],
      ['Extras', fieldsOf(metadata, 'provides-extra').slice(0, 50).join(', ')],
      ['Development status', statusOf(metadata)],
    ]),
    readme: shownReadme(metadata.description, {
      // Without a type it is meant to be reStructuredText (core metadata, "Description-Content-Type").
      type: type ?? 'text/x-rst',
    }),
  };
}

/** Addresses by their labels, which are compared without case, spaces and marks. */
function linksOf(metadata: CoreMetadata): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of fieldsOf(metadata, 'project-url').slice(0, 50)) {
    const comma = line.indexOf(',');
    const url = webUrl(line.slice(comma + 1).trim());
    const label = line
      .slice(0, Math.max(comma, 0))
      .toLowerCase()
      .replace(/[^a-z]/g, '');
    if (url !== undefined && !found.has(label)) found.set(label, url);
  }
  return found;
}

function licensesOf(metadata: CoreMetadata): string[] {
  const expression = shownText(fieldOf(metadata, 'license-expression'), 300);
  if (expression !== undefined) return [expression];
  const classified = fieldsOf(metadata, 'classifier').flatMap((line) => {
    const [, name] = /^License :: (?:OSI Approved :: )?(.+)$/.exec(line) ?? [];
    return name === undefined || name === 'OSI Approved' ? [] : (shownText(name, 300) ?? []);
  });
  if (classified.length > 0) return classified.slice(0, 20);
  // Some have the whole text of the licence here, of which the first line says which it is.
  const said = shownText(fieldOf(metadata, 'license')?.split('\n', 1)[0], 300);
  return said === undefined ? [] : [said];
}

function peopleOf(metadata: CoreMetadata): Person[] {
  const people = (['author', 'maintainer'] as const).flatMap((role) => {
    const name = fieldOf(metadata, role);
    const mails = (fieldOf(metadata, `${role}-email`) ?? '').split(/,\s*/).slice(0, 20);
    if (name === undefined) return mails.map((mail) => shownPerson(/</.test(mail) ? mail : { email: mail }));
    const plain = mails.length === 1 && !/</.test(mails[0] ?? '') ? mails[0] : undefined;
    return [shownPerson({ name, email: plain })];
  });
  const known = people.filter((person) => person !== undefined);
  return [...new Map(known.map((person) => [person.name, person])).values()];
}

/** `name[extras] (range); marker`, as PEP 508 has it. */
function dependencyOf(line: string): Dependency {
  const text = shownText(line, 500) ?? '';
  const semicolon = text.indexOf(';');
  const marker = semicolon < 0 ? '' : text.slice(semicolon + 1).trim();
  const wanted = (semicolon < 0 ? text : text.slice(0, semicolon)).trim();
  const [, name = wanted, range = ''] = /^([A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?)\s*(.*)$/.exec(wanted) ?? [];
  const [, extra] = /\bextra\s*==\s*['"]([^'"]+)['"]/.exec(marker) ?? [];
  return {
    name: name.replace(/\s+/g, ''),
    range: range.replace(/^\((.*)\)$/, '$1').trim(),
    scope: extra !== undefined ? `extra ${extra}` : marker === '' ? 'runtime' : marker,
    ...(extra !== undefined && { optional: true as const }),
  };
}

function statusOf(metadata: CoreMetadata): string | undefined {
  return fieldsOf(metadata, 'classifier')
    .find((line) => line.startsWith('Development Status :: '))
    ?.replace(/^.*:: (?:\d - )?/, '');
}
