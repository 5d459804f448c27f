/** Where the files of a build lie: first where the client says it put them, then by their bytes and properties. */
import { type RepoKey, type RepoPath, splitPath } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import type { Asset } from '../core/repository.ts';
import { TRASH_KEY } from '../core/system-repositories.ts';
import { type HolderRow, listHoldersOf } from '../db/build-files.ts';
import { type BuildDeps, otherRequests } from './builds.ts';
import type { Artifact, BuildDocument, Dependency } from './document.ts';
import { checksumOf } from './record.ts';

export interface Place {
  readonly repo: RepoKey;
  readonly path: RepoPath;
}

export interface FoundFile extends Place {
  readonly item: Artifact | Dependency;
}

export interface Located {
  readonly found: readonly FoundFile[];
  readonly missing: readonly (Artifact | Dependency)[];
}

/** Bytes that lie in more places than this are looked for in the first of them. */
const MAX_HOLDERS = 200;
/** Queries between which others get their turn. */
const BATCH = 20;

/** Which of several files with the same bytes is meant. */
export interface Choice {
  /** Only files of this repository, or of the target. */
  readonly sourceRepo?: string | undefined;
  /** What went there already counts as found, but what has not yet is taken first. */
  readonly targetRepo?: string | undefined;
}

/** Finds the artifacts of a build among what the caller may read; a file that stands for two of them counts once. */
export async function locateArtifacts(
  deps: BuildDeps,
  principal: Principal,
  document: BuildDocument,
  { sourceRepo, targetRepo }: Choice = {},
): Promise<Located> {
  const artifacts = (document.modules ?? []).flatMap((module) => module.artifacts ?? []);
  const isPlaced = artifacts.every(({ originalDeploymentRepo, path }) => originalDeploymentRepo && path);
  const build = { name: String(document.name), number: String(document.number) };
  const fits = ({ repo }: Place) => sourceRepo === undefined || repo === sourceRepo || repo === targetRepo;
  return locate(artifacts, async (artifact) => {
    const there = isPlaced ? await atItsPlace(deps, principal, artifact) : undefined;
    if (there && fits(there)) return there;
    const holders = (await holdersOf(deps, principal, artifact, build)).filter(fits);
    const waiting = holders.filter(({ repo }) => repo !== targetRepo);
    return nearest(waiting, artifact) ?? nearest(holders, artifact);
  });
}

function nearest(holders: readonly Place[], { path, name }: Artifact): Place | undefined {
  return (
    holders.find((holder) => holder.path === path) ??
    holders.find((holder) => splitPath(holder.path).name === name) ??
    holders[0]
  );
}

/** The same for dependencies, of any of the scopes where some are given: whatever has their bytes will do. */
export async function locateDependencies(
  deps: BuildDeps,
  principal: Principal,
  document: BuildDocument,
  scopes: readonly string[],
): Promise<Located> {
  const wanted = new Set(scopes.map((scope) => scope.toLowerCase()));
  const dependencies = (document.modules ?? [])
    .flatMap((module) => module.dependencies ?? [])
    .filter((each) => wanted.size === 0 || (each.scopes ?? []).some((scope) => wanted.has(scope.toLowerCase())));
  return locate(dependencies, async (dependency) => (await holdersOf(deps, principal, dependency, undefined))[0]);
}

async function locate<T extends Artifact | Dependency>(
  items: readonly T[],
  find: (item: T) => Promise<Place | undefined>,
): Promise<Located> {
  const found = new Map<string, FoundFile>();
  const missing: T[] = [];
  for (const [i, item] of items.entries()) {
    const place = await find(item);
    if (place) found.set(`${place.repo}:${place.path}`, { item, repo: place.repo, path: place.path });
    else missing.push(item);
    if (i % BATCH === BATCH - 1) await otherRequests();
  }
  return { found: [...found.values()], missing };
}

/** What lies where the client says it deployed the artifact, if it still has the artifact's bytes. */
async function atItsPlace(
  { repositories }: BuildDeps,
  principal: Principal,
  artifact: Artifact,
): Promise<Asset | undefined> {
  const repo = repositories.get(artifact.originalDeploymentRepo ?? '', principal);
  const path = (artifact.path ?? '').replace(/^\/+/, '') as RepoPath;
  if (!repo?.allows('read', path)) return undefined;
  const asset = await repo.get(path);
  return asset && (await hasBytesOf(asset, artifact)) ? asset : undefined;
}

async function hasBytesOf(asset: Asset, artifact: Artifact): Promise<boolean> {
  const sha256 = checksumOf(artifact, 'sha256');
  if (sha256 !== undefined) return asset.sha256 === sha256;
  const { sha1, md5 } = await asset.checksums();
  return checksumOf(artifact, 'sha1') === sha1 || checksumOf(artifact, 'md5') === md5;
}

async function holdersOf(
  { database, repositories }: BuildDeps,
  principal: Principal,
  item: Artifact | Dependency,
  build: { readonly name: string; readonly number: string } | undefined,
): Promise<readonly HolderRow[]> {
  // Which of the two is known of the bytes here is a matter of who uploaded them.
  for (const algorithm of ['sha256', 'sha1'] as const) {
    const hex = checksumOf(item, algorithm);
    if (hex === undefined) continue;
    const rows = await database.read((db) => listHoldersOf(db, { algorithm, hex }, build, MAX_HOLDERS));
    const readable = rows.filter(
      ({ repo, path }) => repo !== TRASH_KEY && repositories.get(repo, principal)?.allows('read', path),
    );
    if (readable.length > 0) return readable;
  }
  return [];
}
