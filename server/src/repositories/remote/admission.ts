/** Puts what came from an upstream into the rows of the cache. */
import { AppError } from '../../core/errors.ts';
import type { RepoPath, Sha256 } from '../../core/ids.ts';
import type { Arrived, Fetch } from '../../core/remote.ts';
import type { Asset, DeclaredChecksums, Deposit, Landed, Tree } from '../../core/repository.ts';
import { getBlob } from '../../db/blobs.ts';
import type { Database } from '../../db/database.ts';
import { type ExpectedRow, listExpected } from '../../db/expected-files.ts';
import type { Access } from '../leaf.ts';
import type { LocalRepository } from '../local.ts';

/**
 * The rights by which things are put into the cache: those of whoever asked, who needs the right to deploy to the path
 * of the fetch, then and in the moment of the write; and with that right alone what is there is replaced.
 */
export function fillingAccess(access: Access, path: RepoPath): Access {
  return {
    principalName: access.principalName,
    mayWrite: true,
    readsAll: true,
    readablePrefixes: [''],
    mayList: () => true,
    allows: (action) => action === 'read' || access.allows('deploy', path),
    require: (action) => {
      if (action !== 'read') access.require('deploy', path);
    },
  };
}

/** Reads whatever is held, for those who may read what they asked for. */
export const READING: Access = {
  principalName: '_system_',
  mayWrite: false,
  readsAll: true,
  readablePrefixes: [''],
  mayList: () => true,
  allows: (action) => action === 'read',
  require: (action) => {
    if (action !== 'read') throw new AppError('forbidden', 'What only reads may not write.');
  },
};

/** Where bytes belong in a package beside the lead files that name them; none where no lead file does. */
export function expectedPaths(database: Database, repoId: number, fetch: Fetch): Promise<readonly ExpectedRow[]> {
  const { digest, package: name } = fetch;
  if (digest?.algorithm !== 'sha256' || name === undefined) return Promise.resolve([]);
  return database.read((db) => listExpected(db, repoId, name, digest.hex as Sha256));
}

/** What is held already, in the form of what has just come. */
export function landedOf({ sha256, size, content }: Asset): Landed {
  const none = { aliases: [], sha1: undefined, md5: undefined };
  return { sha256, size, ...none, content: async () => content, discard: async () => undefined };
}

export interface AdmissionOptions {
  readonly fetch: Fetch;
  readonly expected: readonly ExpectedRow[];
  readonly declared: DeclaredChecksums;
  readonly modifiedAt: number | undefined;
}

/** Adopts the bytes in one change; what was held at the path goes. */
export async function admit(
  local: LocalRepository,
  access: Access,
  arrived: Arrived,
  options: AdmissionOptions,
): Promise<void> {
  const { fetch, expected, declared, modifiedAt } = options;
  const filling = fillingAccess(access, fetch.path);
  const scope = fetch.package ?? fetch.path;
  try {
    const work = await fetch.admit?.(arrived);
    if (work) await local.change(scope, filling, (tree) => work(tree));
    else {
      const deposit: Deposit = {
        content: arrived.landed,
        mediaType: arrived.mediaType,
        declared,
        ...(fetch.package !== undefined && { package: fetch.package }),
        ...(modifiedAt !== undefined && { stamps: { modifiedAt: new Date(modifiedAt) } }),
      };
      await local.change(scope, filling, (tree) => putAll(tree, deposit, fetch, expected));
    }
  } catch (error) {
    await arrived.landed.discard().catch(() => undefined);
    throw error;
  }
}

/**
 * Names bytes that the store holds already at every place where a lead file of the package expects them: its upstream
 * vouched for the right to them when it gave the lead file. False where the store has no such bytes.
 */
export async function linkExpected(
  local: LocalRepository,
  access: Access,
  database: Database,
  fetch: Fetch,
  expected: readonly ExpectedRow[],
): Promise<boolean> {
  const [first] = expected;
  if (!first || fetch.digest?.algorithm !== 'sha256') return false;
  const sha256 = fetch.digest.hex as Sha256;
  const blob = await database.read((db) => getBlob(db, sha256));
  if (!blob || blob.size !== first.size) return false;
  const content = { sha256, size: blob.size, sha1: blob.sha1 ?? '', md5: blob.md5 ?? '' };
  const deposit: Deposit = {
    content,
    mediaType: first.mediaType,
    ...(fetch.package !== undefined && { package: fetch.package }),
  };
  try {
    const scope = fetch.package ?? fetch.path;
    await local.change(scope, fillingAccess(access, fetch.path), (tree) => putAll(tree, deposit, fetch, expected));
    return true;
  } catch (error) {
    // They were removed just now: then they are fetched like any others.
    if (error instanceof AppError && error.detail['vanished'] === true) return false;
    throw error;
  }
}

async function putAll(tree: Tree, deposit: Deposit, fetch: Fetch, expected: readonly ExpectedRow[]) {
  const files =
    expected.length > 0
      ? expected.map(({ path, mediaType }) => [path, { ...deposit, mediaType }] as const)
      : [[fetch.path, deposit] as const];
  await tree.put(new Map(files));
}
