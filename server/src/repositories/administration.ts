/** Creating and deleting repositories. */
import type { AccountDeps } from '../auth/accounts.ts';
import { forgetRepository } from '../auth/accounts.ts';
import { AppError } from '../core/errors.ts';
import type { Format } from '../core/format.ts';
import { clip, parseRepoKey, type RepoKey } from '../core/ids.ts';
import { SYSTEM_REPOSITORIES } from '../core/system-repositories.ts';
import { reviewBlobs } from '../db/blobs.ts';
import { type Database, lockScope } from '../db/database.ts';
import { deleteAllNodes } from '../db/nodes.ts';
import {
  createRepository,
  deleteRepository,
  listRepositories,
  type RepositoryRow,
  updateRepository,
} from '../db/repositories.ts';
import { createSetting, getSetting } from '../db/settings.ts';
import type { EventLog } from '../events/event-log.ts';
import type { RepositoryDirectory } from './directory.ts';

export interface AdministrationDeps {
  readonly database: Database;
  readonly events: EventLog;
  readonly formats: readonly Format[];
  readonly repositories: RepositoryDirectory;
  readonly accounts: AccountDeps;
}

export interface NewRepository {
  readonly key: string;
  readonly rclass: string;
  readonly packageType: string;
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Setting that tells that the first start's repositories were made. */
const DEFAULTS_MADE = 'repositories.defaults';
const DELETE_BATCH = 2000;
const MAX_EMPTYINGS = 10;

export class Administration {
  readonly #deps: AdministrationDeps;

  constructor(deps: AdministrationDeps) {
    this.#deps = deps;
  }

  /**
   * What a first start offers, so that something can be pushed at once. Done once for ever, in one transaction: a start
   * that was cut before it leaves it to the next, and what an administrator deletes later stays deleted.
   */
  async createDefaults(packageTypes: readonly string[]): Promise<void> {
    const { database, events, repositories } = this.#deps;
    await database.transaction(async (tx) => {
      await lockScope(tx, DEFAULTS_MADE);
      if ((await getSetting(tx, DEFAULTS_MADE)) !== undefined) return;
      await createSetting(tx, DEFAULTS_MADE, packageTypes.join(','));
      for (const packageType of packageTypes) {
        const key = parseRepoKey(`${packageType}-local`);
        await createRepository(tx, { key, rclass: 'local', packageType, config: {} }, Date.now());
        await events.append(tx, [{ type: 'repository.created', repo: key }], '_system_');
      }
    });
    await repositories.reload();
  }

  /** Makes those that the server itself needs; those that are there stay as they are. */
  async createSystemRepositories(): Promise<void> {
    const { database, events, repositories } = this.#deps;
    await database.transaction(async (tx) => {
      await lockScope(tx, 'repositories');
      const existing = new Set((await listRepositories(tx)).map((row) => row.key));
      for (const { key, packageType } of SYSTEM_REPOSITORIES) {
        if (existing.has(key)) continue;
        await createRepository(tx, { key, rclass: 'local', packageType, config: {} }, Date.now());
        await events.append(tx, [{ type: 'repository.created', repo: key }], '_system_');
      }
    });
    await repositories.reload();
  }

  list(): Promise<RepositoryRow[]> {
    return this.#deps.database.read((db) => listRepositories(db));
  }

  /** Creates a repository; a key that is taken, in whatever case, is `conflict`. */
  async create(request: NewRepository, by: string): Promise<RepoKey> {
    const key = parseRepoKey(request.key);
    if (request.rclass !== 'local') {
      throw new AppError(
        'invalid',
        `Repositories of the class "${clip(request.rclass)}" cannot be created yet: only local ones.`,
      );
    }
    const format = this.#deps.formats.find(({ packageTypes }) => packageTypes.includes(request.packageType));
    if (!format) {
      const known = this.#deps.formats.flatMap(({ packageTypes }) => packageTypes).join(', ');
      throw new AppError(
        'invalid',
        `The package type "${clip(request.packageType)}" is not known. Known are: ${known}.`,
      );
    }
    format.checkKey?.(key);
    await this.#deps.database.transaction(async (tx) => {
      await lockScope(tx, 'repositories');
      const taken = (await listRepositories(tx)).find((row) => row.key.toLowerCase() === key.toLowerCase());
      if (taken) throw new AppError('conflict', `There is a repository "${taken.key}" already.`);
      const row = { key, rclass: 'local', packageType: request.packageType, config: request.config ?? {} } as const;
      await createRepository(tx, row, Date.now());
      await this.#deps.events.append(tx, [{ type: 'repository.created', repo: key }], by);
    });
    await this.#deps.repositories.reload();
    return key;
  }

  /** Changes the settings that are named and keeps the others. */
  async update(key: string, settings: Readonly<Record<string, unknown>>, by: string): Promise<void> {
    await this.#deps.database.transaction(async (tx) => {
      await lockScope(tx, 'repositories');
      const row = (await listRepositories(tx)).find((candidate) => candidate.key === key);
      if (!row) throw unknownRepository(key);
      await updateRepository(tx, row.id, { ...row.config, ...settings }, Date.now());
      await this.#deps.events.append(tx, [{ type: 'repository.updated', repo: row.key }], by);
    });
    await this.#deps.repositories.reload();
  }

  /** Deletes a repository with all it holds, a batch of files at a time; interrupted, it can be deleted again. */
  async delete(key: string, by: string): Promise<void> {
    const { database } = this.#deps;
    const row = (await this.list()).find((candidate) => candidate.key === key);
    if (!row) throw unknownRepository(key);
    for (let attempt = 1; ; attempt++) {
      await this.#empty(row);
      try {
        await this.#remove(row, by);
        break;
      } catch (error) {
        // Somebody deployed between the last batch and the end.
        if (!database.dialect.isForeignKeyViolation(error) || attempt === MAX_EMPTYINGS) throw error;
      }
    }
    await this.#deps.repositories.reload();
  }

  async #empty(row: RepositoryRow): Promise<void> {
    const { database } = this.#deps;
    for (;;) {
      const lost = await database.transaction(async (tx) => {
        const digests = await deleteAllNodes(tx, row.id, DELETE_BATCH);
        await reviewBlobs(tx, digests.sha256, Date.now());
        return digests;
      });
      if (lost.nodes < DELETE_BATCH) return;
      // Other requests come first.
      await new Promise(setImmediate);
    }
  }

  #remove(row: RepositoryRow, by: string): Promise<void> {
    const { database, events, accounts } = this.#deps;
    return database.transaction(async (tx) => {
      await deleteRepository(tx, row.id);
      await forgetRepository(accounts, tx, row.key);
      await events.append(tx, [{ type: 'repository.deleted', repo: row.key }], by);
    });
  }
}

function unknownRepository(key: string): AppError {
  return new AppError('not_found', `There is no repository "${clip(key)}".`);
}
