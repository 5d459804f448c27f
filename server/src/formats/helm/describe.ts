/** What people are shown of charts: their Chart.yaml is in the row, their readme in the archive. */
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
  type PackageView,
  type Readme,
  type ShownRelease,
  versionOrder,
} from '../../core/package-view.ts';
import { firstFile } from '../../lib/archives/first-file.ts';
import type { ChartRelease } from './ingest.ts';
import { PROVENANCE_ENDING } from './names.ts';
import { type ChartVersion, compareVersions, parseVersion } from './versions.ts';

export const helmView: PackageView = {
  order: versionOrder<ChartVersion | undefined>({
    key: parseVersion,
    compare: (one, other) =>
      one && other ? compareVersions(one, other) : Number(one !== undefined) - Number(other !== undefined),
  }),
  isPreliminary: (version) => (parseVersion(version)?.prerelease.length ?? 1) > 0,
  beside: (path) => [`${path}${PROVENANCE_ENDING}` as typeof path],
  describe,
};

async function describe(release: ShownRelease): Promise<Description> {
  const [row] = release.rows;
  const chart = (row?.metadata as Partial<ChartRelease> | null)?.chart ?? {};
  return { ...describeFields(chart), readme: await readmeOf(release) };
}

/** What the fields of a Chart.yaml say. */
function describeFields(chart: Readonly<Record<string, unknown>>): Description {
  const annotations = recordOf(chart['annotations']);
  const license = shownText(annotations['artifacthub.io/license'] ?? annotations['licenses'], 300);
  const sources = shownTexts(chart['sources'], 20).flatMap((source) => webUrl(source) ?? []);
  return {
    description: shownText(chart['description']),
    licenses: license === undefined ? [] : [license],
    homepage: webUrl(chart['home']),
    source: sources[0],
    authors: shownPeople(chart['maintainers']),
    keywords: shownTexts(chart['keywords']),
    dependencies: dependenciesOf(chart['dependencies']),
    deprecated: chart['deprecated'] === true ? '' : undefined,
    facts: shownFacts([
      ['Application version', chart['appVersion']],
      ['Kubernetes', chart['kubeVersion']],
      ['Type', chart['type']],
      ['API version', chart['apiVersion']],
    ]),
  };
}

function dependenciesOf(value: unknown): Dependency[] {
  const listed = Array.isArray(value) ? value.slice(0, MAX_DEPENDENCIES) : [];
  return listed.flatMap((item: unknown) => {
    const of = recordOf(item);
    const name = shownText(of['name'], 300);
    if (name === undefined) return [];
    const isOptional = of['condition'] !== undefined || of['tags'] !== undefined;
    return [
      {
        name,
        range: shownText(of['version'], 300) ?? '',
        scope: shownText(of['repository'], 300) ?? 'chart',
        ...(isOptional && { optional: true as const }),
      },
    ];
  });
}

async function readmeOf({ rows, repo }: ShownRelease): Promise<Readme | undefined> {
  const [row] = rows;
  const asset = row && (await repo.get(row.path));
  const found =
    asset && (await firstFile('tar.gz', { size: asset.size, open: (range) => asset.content.open(range) }, README));
  return found && shownReadme(found.bytes.toString('utf8'), { name: found.name });
}

const README = /^(?:\.\/)*[^/]+\/readme\.(?:md|markdown|txt)$/i;
