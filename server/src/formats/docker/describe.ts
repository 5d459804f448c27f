/** What people are shown of images: the manifest, and the configuration or chart that it names. */
import {
  bytesWithin,
  recordOf,
  shownFacts,
  shownPeople,
  shownPerson,
  shownReadme,
  shownText,
  shownTexts,
  webUrl,
} from '../../core/described.ts';
import { AppError } from '../../core/errors.ts';
import type { Digest } from '../../core/ids.ts';
import type {
  Dependency,
  Description,
  Fact,
  ImageDescription,
  PackageView,
  Readme,
  ShownRelease,
} from '../../core/package-view.ts';
import type { Asset } from '../../core/repository.ts';
import { firstFile } from '../../lib/archives/first-file.ts';
import { parseJson } from '../../lib/json.ts';
import { parseManifest } from './manifest.ts';
import { metadataOf } from './version.ts';

const MAX_MANIFEST = 8 * 1024 * 1024;
const MAX_CONFIG = 8 * 1024 * 1024;
const MAX_DEPTH = 100;
const MAX_LISTED = 1000;
const MAX_LABELS = 200;
const CHART_CONFIG = 'application/vnd.cncf.helm.config.v1+json';
const CHART_LAYER = 'application/vnd.cncf.helm.chart.content.v1.tar+gzip';
const README = /^(?:\.\/)*[^/]+\/readme\.(?:md|markdown|txt)$/i;

type Json = Readonly<Record<string, unknown>>;

/** Tags have no order but that of their making; what is called by its digest has no tag. */
export const dockerView: PackageView = {
  isPreliminary: (version) => version.includes(':'),
  wholeFolder: true,
  describe,
};

async function describe({ rows, repo, package: image }: ShownRelease): Promise<Description> {
  const [row] = rows;
  const asset = row && (await repo.get(row.path));
  const bytes = asset && (await bytesWithin(asset, MAX_MANIFEST));
  if (!bytes || !asset) return {};
  const document = jsonOf(bytes);
  const config = recordOf(document['config']);
  const digest = configDigest(bytes, asset.mediaType);
  const file = digest && (await found(() => repo.find(image, digest)));
  const configBytes = file && (await bytesWithin(file, MAX_CONFIG));
  const configuration = configBytes ? jsonOf(configBytes) : {};
  const annotations = textsOf({ ...metadataOf(row as unknown as Parameters<typeof metadataOf>[0])?.annotations });
  if (config['mediaType'] === CHART_CONFIG) {
    const readme = await chartReadme({ repo, package: image }, document);
    return { ...describeChart(configuration), readme };
  }
  return describeImage({ digest: `sha256:${asset.sha256}`, document, configuration, annotations, asset });
}

function describeImage({
  digest,
  document,
  configuration,
  annotations,
  asset,
}: {
  readonly digest: string;
  readonly document: Json;
  readonly configuration: Json;
  readonly annotations: ReadonlyMap<string, string>;
  readonly asset: Asset;
}): Description {
  const run = recordOf(configuration['config']);
  const labels = textsOf(recordOf(run['Labels']));
  const said = (name: string) =>
    annotations.get(`org.opencontainers.image.${name}`) ?? labels.get(`org.opencontainers.image.${name}`);
  const license = shownText(said('licenses') ?? labels.get('license'), 300);
  const author = shownPerson(said('authors') ?? shownText(configuration['author']));
  const image: ImageDescription = {
    digest,
    mediaType: asset.mediaType,
    platform: platformOf(configuration),
    createdAt: dateOf(configuration['created'] ?? said('created')),
    layers: descriptorsOf(document['layers']),
    history: historyOf(configuration['history']),
    labels: [...labels].slice(0, MAX_LABELS).map(([name, value]) => ({ name, value })),
    images: descriptorsOf(document['manifests']),
  };
  return {
    title: shownText(said('title')),
    description: shownText(said('description') ?? labels.get('description')),
    licenses: license === undefined ? [] : [license],
    homepage: webUrl(said('url') ?? said('documentation')),
    source: webUrl(said('source')),
    authors: author ? [author] : [],
    facts: imageFacts(run, document, said('version')),
    image,
  };
}

/** A chart in an image: its configuration is its Chart.yaml. */
function describeChart(chart: Json): Description {
  const listed = Array.isArray(chart['dependencies']) ? chart['dependencies'].slice(0, MAX_LISTED) : [];
  const dependencies = listed.flatMap((item: unknown): Dependency[] => {
    const { name, version, repository } = recordOf(item);
    const text = shownText(name, 300);
    if (text === undefined) return [];
    return [{ name: text, range: shownText(version, 300) ?? '', scope: shownText(repository, 300) ?? 'chart' }];
  });
  return {
    title: shownText(chart['name']),
    description: shownText(chart['description']),
    homepage: webUrl(chart['home']),
    source: shownTexts(chart['sources']).flatMap((source) => webUrl(source) ?? [])[0],
    authors: shownPeople(chart['maintainers']),
    keywords: shownTexts(chart['keywords']),
    dependencies,
    deprecated: chart['deprecated'] === true ? '' : undefined,
    facts: shownFacts([
      ['Application version', chart['appVersion']],
      ['Kubernetes', chart['kubeVersion']],
      ['Type', chart['type']],
    ]),
  };
}

async function chartReadme(
  { repo, package: image }: Pick<ShownRelease, 'repo' | 'package'>,
  document: Json,
): Promise<Readme | undefined> {
  const layer = descriptorsOf(document['layers']).find(({ mediaType }) => mediaType === CHART_LAYER);
  const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(layer?.digest ?? '') ?? [];
  if (hex === undefined) return undefined;
  const asset = await found(() => repo.find(image, { algorithm: 'sha256', hex }));
  const file =
    asset && (await firstFile('tar.gz', { size: asset.size, open: (range) => asset.content.open(range) }, README));
  return file && shownReadme(file.bytes.toString('utf8'), { name: file.name });
}

/** What the caller may not read is not there. */
async function found(look: () => Promise<Asset | undefined>): Promise<Asset | undefined> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof AppError) return undefined;
    throw error;
  }
}

function configDigest(bytes: Buffer, mediaType: string): Digest | undefined {
  try {
    return parseManifest(bytes, mediaType, { acceptUnknown: true }).config;
  } catch (error) {
    if (error instanceof AppError) return undefined;
    throw error;
  }
}

function descriptorsOf(value: unknown): ImageDescription['images'] {
  const listed = Array.isArray(value) ? value.slice(0, MAX_LISTED) : [];
  return listed.flatMap((item: unknown) => {
    const { digest, mediaType, size, platform } = recordOf(item);
    const text = shownText(digest, 200);
    if (text === undefined) return [];
    const on = platformOf(recordOf(platform));
    return [
      {
        digest: text,
        mediaType: shownText(mediaType, 255) ?? '',
        size: typeof size === 'number' ? size : 0,
        ...(on !== undefined && { platform: on }),
      },
    ];
  });
}

function platformOf({ os, architecture, variant }: Json): string | undefined {
  const parts = [os, architecture, variant].flatMap((part) => shownText(part, 50) ?? []);
  return parts.length < 2 ? undefined : parts.join('/');
}

function historyOf(value: unknown): ImageDescription['history'] {
  const listed = Array.isArray(value) ? value.slice(0, MAX_LISTED) : [];
  return listed.map((item: unknown) => {
    const { created_by, empty_layer } = recordOf(item);
    return { createdBy: shownText(created_by) ?? '', empty: empty_layer === true };
  });
}

function imageFacts(run: Json, document: Json, version: string | undefined): Fact[] {
  const words = (value: unknown) => shownTexts(value, 50).join(' ');
  return shownFacts([
    ['Version', version],
    ['Artifact type', document['artifactType']],
    ['Entrypoint', words(run['Entrypoint'])],
    ['Command', words(run['Cmd'])],
    ['User', run['User']],
    ['Working folder', run['WorkingDir']],
    ['Ports', Object.keys(recordOf(run['ExposedPorts'])).slice(0, 50).join(', ')],
    ['Volumes', Object.keys(recordOf(run['Volumes'])).slice(0, 50).join(', ')],
  ]);
}

function dateOf(value: unknown): string | undefined {
  const time = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}

function textsOf(record: Json): Map<string, string> {
  const entries = Object.entries(record).slice(0, MAX_LISTED);
  return new Map(
    entries.flatMap(([name, value]) => {
      const text = shownText(value);
      return text === undefined ? [] : [[name.slice(0, 200), text] as const];
    }),
  );
}

function jsonOf(bytes: Buffer): Json {
  const parsed = parseJson(bytes, { maxDepth: MAX_DEPTH });
  return 'problem' in parsed ? {} : recordOf(parsed.value);
}
