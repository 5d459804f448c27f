/** The file tree inside one transaction, asking for a right at each step. */

import { Landing } from '../blobs/landing.ts';
import { AppError } from '../core/errors.ts';
import {
  type Digest,
  joinPath,
  type Properties,
  type RepoKey,
  type RepoPath,
  type Sha256,
  splitPath,
} from '../core/ids.ts';
import type { ExpectedFile } from '../core/remote.ts';
import type {
  Declaration,
  Deposit,
  PackageVersion,
  PropertyValue,
  Tree,
  TreeFile,
  TreeNode,
} from '../core/repository.ts';
import { holdBlobs, resolveDigest, reviewBlobs } from '../db/blobs.ts';
import { lockTree, type Tx } from '../db/database.ts';
import { type NewExpected, setExpected } from '../db/expected-files.ts';
import {
  ensureFolders,
  getChecksumOf,
  getNode,
  getNodes,
  listChildNodes,
  listHolders,
  type NewFile,
  type NodeRow,
  putFiles,
  setDeclared,
  touchNode,
} from '../db/nodes.ts';
import {
  deleteVersionsOf,
  getVersion,
  listVersionsOf,
  listVersionsWith,
  renameVersion,
  setVersionMetadata,
} from '../db/package-versions.ts';
import { changeProperties } from '../db/properties.ts';
import { deleteFilesIn, hasFolders, moveFilesIn, removeNodes, renameFolder } from '../db/subtrees.ts';
import { forgetLeft, noteLeft } from '../db/tree-operations.ts';
import type { DomainEvent } from '../events/event-log.ts';
import type { Access } from './leaf.ts';
import type { Veils } from './veils.ts';

export interface TreeDeps {
  readonly tx: Tx;
  readonly repoId: number;
  readonly repo: RepoKey;
  readonly access: Access;
  readonly at: number;
  /** How long a blob that lost a reference is left alone. */
  readonly reviewDelayMs: number;
  readonly veils: Veils;
}

export class TransactionTree implements Tree {
  readonly #deps: TreeDeps;
  /** What happened, to be written with the change. */
  readonly events: DomainEvent[] = [];
  /** Landed bytes that the change adopted. */
  readonly adopted = new Set<Landing>();

  constructor(deps: TreeDeps) {
    this.#deps = deps;
  }

  async get(path: RepoPath): Promise<TreeNode | undefined> {
    return this.#isHidden(path) ? undefined : getNode(this.#deps.tx, this.#deps.repoId, path);
  }

  resolve(digest: Digest): Promise<Sha256 | undefined> {
    return resolveDigest(this.#deps.tx, digest);
  }

  async held(packageName: string, digests: readonly Sha256[]): Promise<ReadonlyMap<Sha256, TreeFile>> {
    const { tx, repoId } = this.#deps;
    await holdBlobs(tx, digests);
    const holders = await listHolders(tx, repoId, packageName, digests);
    for (const [digest, { path }] of holders) if (this.#isHidden(path)) holders.delete(digest);
    return holders;
  }

  async children(folder: RepoPath): Promise<readonly TreeNode[]> {
    const nodes = await listChildNodes(this.#deps.tx, this.#deps.repoId, folder);
    return nodes.filter(({ path }) => !this.#isHidden(path));
  }

  async put(files: ReadonlyMap<RepoPath, Deposit>): Promise<void> {
    await this.#enter([...files.keys()]);
    const existing = await getNodes(this.#deps.tx, this.#deps.repoId, [...files.keys()]);
    for (const path of files.keys()) this.#requirePut(path, existing.get(path));
    await this.#write(files, existing);
  }

  async amend(path: RepoPath, from: Sha256, deposit: Deposit): Promise<void> {
    this.#deps.access.require('deploy', path);
    await this.#enter([path]);
    const node = await this.#require(path);
    if (node.sha256 !== from) {
      throw new AppError('conflict', `"${joinPath(this.#deps.repo, path)}" was changed meanwhile. Try again.`, {
        stale: true,
      });
    }
    await this.#write(new Map([[path, deposit]]), new Map([[path, node]]));
  }

  async #write(files: ReadonlyMap<RepoPath, Deposit>, existing: ReadonlyMap<string, NodeRow>): Promise<void> {
    const { tx, repoId, access, at } = this.#deps;
    const paths = [...files.keys()];
    await this.#secure([...files.values()]);
    await ensureFolders(tx, repoId, paths, access.principalName, at);
    await putFiles(
      tx,
      repoId,
      [...files].map(([path, deposit]) => newFile(path, deposit)),
      access.principalName,
      at,
    );
    const leading = [...files].flatMap(([path, { version }]) => (version ? [] : (existing.get(path)?.id ?? [])));
    await deleteVersionsOf(tx, leading);
    const replaced = paths.flatMap((path) => existing.get(path)?.sha256 ?? []);
    await reviewBlobs(tx, replaced, at + this.#deps.reviewDelayMs);
    for (const path of paths) this.#note('artifact.deposited', path);
  }

  async makeFolder(path: RepoPath): Promise<void> {
    const { tx, repoId, access, at } = this.#deps;
    access.require('deploy', path);
    await this.#enter([path]);
    // Somebody wants the folder for its own sake: it stays when it is empty.
    await forgetLeft(tx, repoId, path);
    // Folders are made above a path, so this names something that could lie in it.
    await ensureFolders(tx, repoId, [joinPath(path, '-')], access.principalName, at);
  }

  async renew(path: RepoPath, deposit: Deposit): Promise<void> {
    const { tx, repoId, access, at } = this.#deps;
    await this.#enter([path]);
    const existing = await getNode(tx, repoId, path);
    if (existing?.sha256 !== deposit.content.sha256) return this.put(new Map([[path, deposit]]));
    access.require('deploy', path);
    await this.#secure([deposit]);
    await touchNode(tx, existing.id, at);
  }

  async moveFiles(from: RepoPath, to: RepoPath): Promise<void> {
    const { tx, repoId, access, at } = this.#deps;
    access.require('delete', from);
    await this.#enter([from, to]);
    const node = await this.#require(from);
    if (await getNode(tx, repoId, to))
      throw new AppError('conflict', `"${to}" exists already, so nothing can be moved there.`);
    await lockTree(tx, repoId, 'exclusive');
    const stays = await hasFolders(tx, repoId, from);
    await ensureFolders(tx, repoId, [stays ? joinPath(to, '-') : to], access.principalName, at);
    await moveFilesIn(tx, repoId, from, to);
    if (!stays) await renameFolder(tx, node.id, to);
    this.events.push({
      type: 'artifact.moved',
      repo: this.#deps.repo,
      path: from,
      to: { repo: this.#deps.repo, path: to },
    });
  }

  async relabel(path: RepoPath, version: string, properties: Properties): Promise<void> {
    const node = await this.#require(path);
    await renameVersion(this.#deps.tx, node.id, version);
    await changeProperties(this.#deps.tx, node.id, { set: properties });
  }

  async describe(path: RepoPath, metadata: unknown, properties: Properties = {}): Promise<void> {
    const { tx, access } = this.#deps;
    access.require('deploy', path);
    const node = await this.#require(path);
    await setVersionMetadata(tx, node.id, metadata);
    const remove = Object.keys(properties).filter((key) => properties[key]?.length === 0);
    const set = Object.fromEntries(Object.entries(properties).filter(([, values]) => values.length > 0));
    await changeProperties(tx, node.id, { set, remove });
    this.#note('properties.changed', path);
  }

  async version(packageName: string, version: string): Promise<PackageVersion | undefined> {
    const found = await getVersion(this.#deps.tx, this.#deps.repoId, packageName, version);
    return found && !this.#isHidden(found.path) ? found : undefined;
  }

  async delete(path: RepoPath): Promise<boolean> {
    const { tx, repoId, access, at, reviewDelayMs } = this.#deps;
    access.require('delete', path);
    const node = (await this.get(path)) as NodeRow | undefined;
    if (!node || node.folder) return false;
    await removeNodes(tx, [node], at + reviewDelayMs);
    await noteLeft(tx, repoId, [splitPath(path).parent]);
    this.#note('artifact.deleted', path);
    return true;
  }

  async deleteFiles(folder: RepoPath): Promise<boolean> {
    const { tx, repoId, access, at, reviewDelayMs } = this.#deps;
    access.require('delete', folder);
    const node = (await this.get(folder)) as NodeRow | undefined;
    if (!node?.folder) return false;
    await deleteFilesIn(tx, repoId, node, at + reviewDelayMs);
    await noteLeft(tx, repoId, [splitPath(folder).parent]);
    this.#note('artifact.deleted', folder);
    return true;
  }

  async expect(lead: RepoPath, files: readonly ExpectedFile[]): Promise<void> {
    const { tx, repoId, access } = this.#deps;
    access.require('deploy', lead);
    const node = await this.#require(lead);
    const known: NewExpected[] = [];
    for (const { digest, ...file } of files) {
      const sha256 = digest.algorithm === 'sha256' ? (digest.hex as Sha256) : await this.resolve(digest);
      if (sha256) known.push({ ...file, sha256 });
    }
    await setExpected(tx, { id: node.id, repoId, package: node.package ?? '' }, known);
  }

  async touch(path: RepoPath): Promise<void> {
    this.#deps.access.require('deploy', path);
    const node = await this.#require(path);
    await touchNode(this.#deps.tx, node.id, this.#deps.at);
  }

  async annotate(
    path: RepoPath,
    change: { readonly set?: Properties; readonly remove?: readonly string[] },
  ): Promise<void> {
    this.#deps.access.require('annotate', path);
    const node = await this.#require(path);
    await changeProperties(this.#deps.tx, node.id, change);
    this.#note('properties.changed', path);
  }

  async declare(path: RepoPath, { algorithm, hex, keepsWrong }: Declaration): Promise<string | undefined> {
    const { tx, repoId, access } = this.#deps;
    access.require('deploy', path);
    const actual = await getChecksumOf(tx, repoId, path, algorithm);
    if (!actual || algorithm === 'sha256') return actual && (actual.hex ?? '');
    const isOwn = actual.modifiedBy === access.principalName || access.allows('delete', path);
    if (actual.hex === hex || (keepsWrong && isOwn)) await setDeclared(tx, actual.id, { [algorithm]: hex });
    return actual.hex ?? '';
  }

  async versionsOf(packageName: string, sha256: Sha256, limit: number): Promise<readonly PackageVersion[]> {
    const versions = await listVersionsOf(this.#deps.tx, this.#deps.repoId, packageName, sha256, limit);
    return versions.filter(({ path }) => !this.#isHidden(path));
  }

  async versionsWith(packageName: string, property: PropertyValue, limit: number): Promise<readonly PackageVersion[]> {
    const versions = await listVersionsWith(this.#deps.tx, this.#deps.repoId, packageName, property, { limit });
    return versions.filter(({ path }) => !this.#isHidden(path));
  }

  /** Keeps the tree as it is while something is put into it, and waits for what is being deleted there. */
  async #enter(paths: readonly RepoPath[]): Promise<void> {
    const { tx, repoId, veils } = this.#deps;
    await lockTree(tx, repoId, 'shared');
    await veils.requireFree(tx, repoId, paths);
  }

  #isHidden(path: RepoPath): boolean {
    return this.#deps.veils.hides(this.#deps.repoId, path);
  }

  /** The right depends on whether something is there, which only this transaction knows. */
  #requirePut(path: RepoPath, existing: NodeRow | undefined): void {
    if (existing?.folder) {
      throw new AppError(
        'conflict',
        `"${joinPath(this.#deps.repo, path)}" is a folder, so a file cannot be put there.`,
      );
    }
    this.#deps.access.require(existing ? 'delete' : 'deploy', path);
  }

  /** Makes sure that the bytes exist when the files name them, and stay until the change is committed. */
  async #secure(deposits: readonly Deposit[]): Promise<void> {
    const { tx, at } = this.#deps;
    const found: Sha256[] = [];
    for (const { content } of deposits) {
      if (content instanceof Landing) {
        if (this.adopted.has(content)) continue;
        await content.adopt(tx, at);
        this.adopted.add(content);
      } else {
        found.push(content.sha256);
      }
    }
    const held = await holdBlobs(tx, found);
    if (found.some((sha256) => !held.has(sha256))) {
      throw new AppError('conflict', 'The bytes to be linked were removed meanwhile. Upload them again.', {
        vanished: true,
      });
    }
  }

  async #require(path: RepoPath): Promise<NodeRow> {
    const node = (await this.get(path)) as NodeRow | undefined;
    if (!node) throw new AppError('not_found', `There is nothing at "${joinPath(this.#deps.repo, path)}".`);
    return node;
  }

  #note(type: 'artifact.deposited' | 'artifact.deleted' | 'properties.changed', path: RepoPath): void {
    this.events.push({ type, repo: this.#deps.repo, path });
  }
}

function newFile(path: RepoPath, deposit: Deposit): NewFile {
  return {
    path,
    sha256: deposit.content.sha256,
    size: deposit.content.size,
    mediaType: deposit.mediaType,
    package: deposit.package,
    etag: deposit.etag,
    properties: deposit.properties,
    declared: deposit.declared,
    stamps: deposit.stamps,
    version: deposit.version,
    build: deposit.build,
  };
}
