/** Puts charts and their provenance where clients of this format upload them. */
import { AppError, isAppError } from '../../core/errors.ts';
import { UNINDEXED } from '../../core/format.ts';
import { clip, joinPath, type RepoPath } from '../../core/ids.ts';
import type { ProtocolContext } from '../../core/protocol.ts';
import type { Deposit, Landed, Repository } from '../../core/repository.ts';
import { readChartArchive } from './archive.ts';
import { type ChartMetadata, ChartProblem } from './chart-yaml.ts';
import { CHART_TYPE, describeChart, ingest, PROVENANCE_TYPE } from './ingest.ts';
import { fileNameOf } from './names.ts';

/** The repository that takes what is put into the one of the request: its settings say what it takes. */
export async function targetOf({ repo, repositories }: ProtocolContext): Promise<Repository> {
  if (repo.rclass !== 'virtual' || repo.deploysTo === undefined) return repo;
  return (await repositories()).find(({ key }) => key === repo.deploysTo) ?? repo;
}

/** A chart that was uploaded without a path. */
export async function openChart(landed: Landed): Promise<ChartMetadata> {
  try {
    return await readChartArchive(await landed.content());
  } catch (error) {
    if (!(error instanceof ChartProblem)) throw error;
    throw new AppError('invalid', `The file is no chart: ${error.message}.`);
  }
}

export interface Uploaded {
  readonly chart: { readonly landed: Landed; readonly metadata: ChartMetadata } | undefined;
  /** With the name of the chart's file that it is of. */
  readonly provenance: { readonly landed: Landed; readonly of: string } | undefined;
}

/** Puts what was uploaded at the top of the repository; without `force` nothing that is there is replaced. */
export async function depositUploaded(
  repo: Repository,
  { chart, provenance }: Uploaded,
  force: boolean,
): Promise<void> {
  const files = new Map<RepoPath, Deposit>();
  let sole: ReturnType<typeof describeChart>['version'];
  if (chart) {
    const { metadata, landed } = chart;
    const path = fileNameOf(metadata) as RepoPath;
    if (!force) await requireNew(repo, metadata);
    const { version, properties = {} } = describeChart(path, metadata, repo.settings);
    if (!version) throw new AppError('invalid', 'The name of the chart is too long.');
    sole = version;
    files.set(path, { content: landed, mediaType: CHART_TYPE, package: metadata.name, version, properties });
  }
  if (provenance) {
    const path = `${provenance.of}.prov` as RepoPath;
    files.set(path, { content: provenance.landed, mediaType: PROVENANCE_TYPE });
  }
  const scope = chart?.metadata.name ?? provenance?.of ?? '';
  await refusing(repo, [...files.keys()], () =>
    repo.change(scope, async (tree) => {
      for (const path of files.keys()) {
        if (!force && (await tree.get(path))) throw exists(path);
      }
      const known = sole && (await tree.version(sole.package, sole.version));
      if (known && !files.has(known.path)) {
        throw new AppError('forbidden', sole?.sole?.(known.path) ?? exists(known.path).message);
      }
      await tree.put(files);
    }),
  );
}

/** Puts a file at its path, as a plain PUT does. */
export async function depositAt(repo: Repository, path: RepoPath, landed: Landed): Promise<void> {
  const checksums = { sha256: landed.sha256, sha1: landed.sha1 ?? '', md5: landed.md5 ?? '' };
  const { settings } = repo;
  const known = await ingest({ path, content: await landed.content(), checksums, settings });
  const unindexed = known.unindexed;
  const properties = { ...known.properties, ...(unindexed !== undefined && { [UNINDEXED]: [unindexed] }) };
  const deposit: Deposit = {
    content: landed,
    mediaType: known.mediaType ?? 'application/octet-stream',
    properties,
    ...(known.version && { package: known.version.package, version: known.version }),
  };
  await refusing(repo, [path], () =>
    repo.change(known.version?.package ?? path, async (tree) => {
      if (known.version?.sole) {
        const other = await tree.version(known.version.package, known.version.version);
        if (other && other.path !== path) throw new AppError('forbidden', known.version.sole(other.path));
      }
      await tree.put(new Map([[path, deposit]]));
    }),
  );
}

/** The same release may lie at any other path. */
async function requireNew(repo: Repository, { name, version }: ChartMetadata): Promise<void> {
  const [other] = await repo.versionNames(name, { after: `${version}/@/`, before: `${version}/@0`, limit: 1 });
  if (other) throw exists(other.path);
}

function exists(path: RepoPath): AppError {
  return new AppError('conflict', `${clip(path, 300)} already exists. Publish a new version, or upload with "force".`);
}

async function refusing<T>(repo: Repository, paths: readonly RepoPath[], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isAppError(error, 'forbidden') || error.detail['action'] !== 'delete') throw error;
    const what = clip(joinPath(repo.key, paths[0] ?? ''), 300);
    throw new AppError(
      'forbidden',
      `"${what}" exists already, and you have no right to overwrite it. Publish a new version instead.`,
      error.detail,
      { cause: error },
    );
  }
}
