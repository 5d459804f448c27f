/** Builds: their documents are files of a build-info repository, found by rows that are written with them. */
import { Readable } from 'node:stream';
import { readAll } from '../core/bodies.ts';
import { AppError, isAppError } from '../core/errors.ts';
import { type Checksums, clip, type RepoPath } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import type { Asset, Landed, Repository } from '../core/repository.ts';
import { BUILD_INFO_KEY } from '../core/system-repositories.ts';
import { listBuildNames, listRuns, listRunsOf, listRunsWithStatus, type RunRow } from '../db/builds.ts';
import type { Database } from '../db/database.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { type BuildDocument, MAX_DOCUMENT_BYTES, readDocument, renderDocument, runOf } from './document.ts';
import { documentPath, encodeBuildWord, readingsOf } from './names.ts';
import { recordOf } from './record.ts';

export interface BuildDeps {
  readonly database: Database;
  readonly repositories: RepositoryDirectory;
}

/** Which build is meant, as addresses and bodies name it. */
export interface RunRequest {
  readonly name: string;
  /** A number, or `LATEST`, `LAST_RELEASE`, or `LATEST_` with a status. */
  readonly number: string;
  readonly startedAt?: Date | undefined;
}

const PACKAGE_TYPE = 'buildinfo';
const MEDIA_TYPE = 'application/json';
const PAGE = 200;
const MAX_AMENDMENTS = 10;
const RELEASED = 'released';

/** The repository that holds builds, for this caller; `invalid` when there is none, or none it may know of. */
export function requireBuildRepository(
  { repositories }: BuildDeps,
  where: { readonly buildRepo?: string | null | undefined; readonly project?: string | null | undefined },
  principal: Principal,
): Repository {
  const project = where.project && where.project !== 'default' ? `${where.project}-build-info` : BUILD_INFO_KEY;
  const key = where.buildRepo || project;
  const repo = repositories.get(key, principal);
  if (repo?.packageType === PACKAGE_TYPE) return repo;
  throw new AppError('invalid', `Build info repository '${clip(key)}' does not exist`);
}

/** Stores the document and its rows in one change, over an earlier one of the same run; returns the bytes' checksums. */
export async function publishBuild(repo: Repository, document: BuildDocument): Promise<Checksums> {
  const path = documentPath(runOf(document));
  repo.require('deploy', path);
  const record = recordOf(document);
  return withLanded(repo, path, document, async (landed) => {
    await repo.change(scopeOf(document), (tree) =>
      tree.put(new Map([[path, { content: landed, mediaType: MEDIA_TYPE, build: record }]])),
    );
    return { sha256: landed.sha256, sha1: landed.sha1 ?? '', md5: landed.md5 ?? '' };
  });
}

/** Changes a document that is there, again from its start when somebody else was faster. */
export async function amendBuild(
  repo: Repository,
  run: RunRow,
  change: (document: BuildDocument) => BuildDocument,
): Promise<void> {
  repo.require('deploy', run.path);
  for (let attempt = 1; ; attempt++) {
    const { asset, document } = await requireDocument(repo, run);
    const changed = change(document);
    const record = recordOf(changed);
    try {
      await withLanded(repo, run.path, changed, (landed) =>
        repo.change(scopeOf(changed), (tree) =>
          tree.amend(run.path, asset.sha256, { content: landed, mediaType: MEDIA_TYPE, build: record }),
        ),
      );
      return;
    } catch (error) {
      if (!isAppError(error, 'conflict') || error.detail['stale'] !== true || attempt === MAX_AMENDMENTS) throw error;
    }
  }
}

/** Puts a changed document where its new name belongs and removes the old one; one that is there already stays. */
export async function moveRun(
  repo: Repository,
  run: RunRow,
  change: (document: BuildDocument) => BuildDocument,
): Promise<void> {
  const { document } = await requireDocument(repo, run);
  const changed = change(document);
  const path = documentPath(runOf(changed));
  const record = recordOf(changed);
  await withLanded(repo, path, changed, (landed) =>
    repo.change(scopeOf(run), async (tree) => {
      if (!(await tree.get(path))) {
        await tree.put(new Map([[path, { content: landed, mediaType: MEDIA_TYPE, build: record }]]));
      }
      await tree.delete(run.path);
    }),
  );
}

async function withLanded<T>(
  repo: Repository,
  path: RepoPath,
  document: BuildDocument,
  work: (landed: Landed) => Promise<T>,
): Promise<T> {
  const body = Readable.from([renderDocument(document)]);
  const landed = await repo.store(path, body, { allChecksums: true });
  try {
    return await work(landed);
  } finally {
    await landed.discard();
  }
}

/** Changes of one build happen one after another. */
export function scopeOf(build: { readonly name: string | number }): string {
  return `build ${encodeBuildWord(String(build.name))}`;
}

/** The document of a run with the file it is; `not_found` when it is gone or the caller may not read it. */
export async function requireDocument(
  repo: Repository,
  run: RunRow,
): Promise<{ readonly asset: Asset; readonly document: BuildDocument }> {
  const { asset, bytes } = await requireDocumentBytes(repo, run);
  return { asset, document: readDocument(bytes) };
}

export async function requireDocumentBytes(
  repo: Repository,
  run: RunRow,
): Promise<{ readonly asset: Asset; readonly bytes: Buffer }> {
  const asset = await repo.get(run.path);
  if (!asset) throw new AppError('not_found', noSuchRun(run));
  if (asset.content.inline) return { asset, bytes: asset.content.inline };
  const limit = 2 * MAX_DOCUMENT_BYTES;
  return { asset, bytes: await readAll(await asset.content.open(), { limit, what: 'document of the build' }) };
}

/** Names of builds that have a run the caller may read, with the time of the newest of these; the oldest of them first. */
export async function listBuilds(
  { database }: BuildDeps,
  repo: Repository,
): Promise<{ readonly name: string; readonly lastStartedAt: Date }[]> {
  const found: { name: string; lastStartedAt: Date }[] = [];
  for (let after = ''; ; ) {
    const page = await database.read((db) => listBuildNames(db, repo.key, { after, limit: PAGE }));
    for (const { name } of page) {
      const newest = await firstReadable(database, repo, name);
      if (newest) found.push({ name, lastStartedAt: new Date(newest.startedAt) });
    }
    after = page.at(-1)?.name ?? '';
    if (page.length < PAGE) break;
    await otherRequests();
  }
  return found.sort((a, b) => a.lastStartedAt.getTime() - b.lastStartedAt.getTime());
}

async function firstReadable(database: Database, repo: Repository, name: string): Promise<RunRow | undefined> {
  const [newest] = await database.read((db) => listRuns(db, repo.key, name, { limit: 1 }));
  if (!newest || repo.allows('read', newest.path)) return newest;
  for await (const run of eachRun(database, repo, name)) return run;
  return undefined;
}

/** Runs of a build that the caller may read, newest first. */
export async function* eachRun(database: Database, repo: Repository, name: string): AsyncGenerator<RunRow> {
  for (let after: RunRow | undefined; ; ) {
    const page = await database.read((db) => listRuns(db, repo.key, name, { after, limit: PAGE }));
    for (const run of page) if (repo.allows('read', run.path)) yield run;
    after = page.at(-1);
    if (page.length < PAGE) return;
    await otherRequests();
  }
}

/** The name of a build that an address means: the first reading of it under which there is a run to be read. */
export async function findBuildName(
  { database }: BuildDeps,
  repo: Repository,
  segment: string,
): Promise<string | undefined> {
  for (const name of readingsOf(segment)) {
    if (await firstReadable(database, repo, name)) return name;
  }
  return undefined;
}

/** The newest run that the request means and the caller may read. */
export async function findRun(
  { database }: BuildDeps,
  repo: Repository,
  { name, number, startedAt }: RunRequest,
): Promise<RunRow | undefined> {
  const readable = (rows: readonly RunRow[]) => rows.find((run) => repo.allows('read', run.path));
  const exact = await database.read((db) =>
    listRunsOf(db, repo.key, { name, number, startedAt: startedAt?.getTime() }, PAGE),
  );
  if (exact.length > 0 || startedAt !== undefined) return readable(exact);
  if (number === 'LATEST') return firstReadable(database, repo, name);
  const status = number === 'LAST_RELEASE' ? RELEASED : /^LATEST_(.+)$/.exec(number)?.[1];
  if (status === undefined) return undefined;
  return readable(await database.read((db) => listRunsWithStatus(db, repo.key, name, status, PAGE)));
}

/** The same for the words of an address, or `not_found`. */
export async function requireRun(deps: BuildDeps, repo: Repository, request: RunRequest): Promise<RunRow> {
  for (const name of readingsOf(request.name)) {
    for (const number of readingsOf(request.number)) {
      const run = await findRun(deps, repo, { ...request, name, number });
      if (run) return run;
    }
  }
  throw new AppError('not_found', noSuchRun(request));
}

function noSuchRun({ name, number, startedAt }: { name: string; number: string; startedAt?: unknown }): string {
  const started = startedAt instanceof Date ? `, build started: ${startedAt.toISOString()}` : '';
  const plain = (word: string) => clip(word.replaceAll('%2F', '/'));
  return `No build was found for build name: ${plain(name)}, build number: ${plain(number)} ${started}`;
}

/** Reading from a database in this process never waits, so the others have to be let in. */
export function otherRequests(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
