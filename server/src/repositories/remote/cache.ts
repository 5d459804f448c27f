/** What a remote repository holds, as a repository of its own: read, described and deleted here, filled from upstream only. */
import type { Readable } from 'node:stream';
import { AppError } from '../../core/errors.ts';
import type { RepoKey, RepoPath } from '../../core/ids.ts';
import type { Action } from '../../core/principal.ts';
import type { Landed, StoreOptions, Tree, Upload } from '../../core/repository.ts';
import { AccessWithin } from '../access.ts';
import type { Access } from '../leaf.ts';
import { LocalRepository } from '../local.ts';

/** What of a tree puts something into it that was not there. */
const PUTTING: ReadonlySet<string | symbol> = new Set(['put', 'makeFolder', 'renew', 'amend', 'moveFiles', 'expect']);

export class RemoteCache extends LocalRepository {
  override async store(_body: Readable, _options: StoreOptions): Promise<Landed> {
    throw refusalOfDeploy(this.key);
  }

  override async startUpload(): Promise<Upload> {
    throw refusalOfDeploy(this.key);
  }

  override change<T>(scope: string, access: Access, work: (tree: Tree) => Promise<T>): Promise<T> {
    return super.change(scope, access, (tree) => work(withoutPutting(tree, this.key)));
  }
}

/** What a client is told that wants to put something where only an upstream does. */
export function refusalOfDeploy(key: string): AppError {
  return new AppError('not_found', `Could not find a local repository named ${key} to deploy to.`);
}

/** The access of a caller who cannot deploy, whatever its rights: they allow to have the cache filled, no more. */
export function withoutDeploys(access: Access, key: RepoKey): Access {
  return new Undeployable(access, key);
}

class Undeployable extends AccessWithin {
  readonly #key: RepoKey;

  constructor(inner: Access, key: RepoKey) {
    super(inner);
    this.#key = key;
  }

  override get mayWrite(): boolean {
    return false;
  }

  override allows(action: Action, path: RepoPath): boolean {
    return action !== 'deploy' && this.inner.allows(action, path);
  }

  override require(action: Action, path: RepoPath): void {
    if (action === 'deploy') throw refusalOfDeploy(this.#key);
    this.inner.require(action, path);
  }
}

function withoutPutting(tree: Tree, key: RepoKey): Tree {
  const refuse = async () => {
    throw refusalOfDeploy(key);
  };
  return new Proxy(tree, {
    get(target, name) {
      if (PUTTING.has(name)) return refuse;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/**
 * What a token narrows that was issued to read: it says nothing of filling the cache, which is what reading leads to, so
 * for that the right of its holder counts.
 */
export function fillingByRead(narrowed: Access, permitted: Access): Access {
  return new FillingByRead(narrowed, permitted);
}

class FillingByRead extends AccessWithin {
  readonly #permitted: Access;

  constructor(narrowed: Access, permitted: Access) {
    super(narrowed);
    this.#permitted = permitted;
  }

  override allows(action: Action, path: RepoPath): boolean {
    if (action !== 'deploy') return this.inner.allows(action, path);
    return this.inner.allows('read', path) && this.#permitted.allows('deploy', path);
  }

  override require(action: Action, path: RepoPath): void {
    if (action === 'deploy' && this.inner.allows('read', path)) this.#permitted.require('deploy', path);
    else this.inner.require(action, path);
  }
}
