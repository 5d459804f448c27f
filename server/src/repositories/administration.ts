/** Creating, changing and deleting repositories. */
import type { AccountDeps } from '../auth/accounts.ts';
import { forgetRepository } from '../auth/accounts.ts';
import type { Secrets } from '../auth/secrets.ts';
import { cacheKeyOf } from '../core/cache-keys.ts';
import { AppError } from '../core/errors.ts';
import type { Format } from '../core/format.ts';
import { clip, parseNewRepoKey, type RepoKey } from '../core/ids.ts';
import { packageTypeOf } from '../core/package-types.ts';
import { SYSTEM_REPOSITORIES } from '../core/system-repositories.ts';
import { reviewBlobs } from '../db/blobs.ts';
import { type Database, lockScope, type Tx } from '../db/database.ts';
import { deleteAllNodes } from '../db/nodes.ts';
import {
  createRepository,
  deleteRepository,
  listRepositories,
  type RepositoryRow,
  updateRepository,
  updateRepositoryClass,
} from '../db/repositories.ts';
import type { EventLog } from '../events/event-log.ts';
import {
  type Candidate,
  type CheckContext,
  checkCandidate,
  namesOf,
  parseClass,
  parsePackageType,
  servedSettings,
} from './checks.ts';
import type { RepositoryDirectory } from './directory.ts';
import { insertRepository, type StoredRow } from './insertion.ts';
import { keyPairNames } from './key-pairs.ts';
import type { ReadOnly } from './read-only.ts';
import { describeChanges, parseSettings, type Settings, sealSettings } from './settings.ts';
import type { SystemConfiguration } from './system-configuration.ts';

export interface AdministrationDeps {
  readonly database: Database;
  readonly events: EventLog;
  readonly formats: readonly Format[];
  readonly repositories: RepositoryDirectory;
  readonly accounts: AccountDeps;
  readonly secrets: Secrets;
  readonly configuration: SystemConfiguration;
  readonly readOnly: ReadOnly;
  /** Where this server says it is reached. */
  readonly ownOrigins: readonly string[];
}

export interface NewRepository {
  readonly key: string;
  readonly rclass: string;
  readonly packageType: string;
  /** Settings by name; those the class does not have are left out. */
  readonly config?: Settings;
}

const DELETE_BATCH = 2000;
const MAX_EMPTYINGS = 10;

export class Administration {
  readonly #deps: AdministrationDeps;

  constructor(deps: AdministrationDeps) {
    this.#deps = deps;
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
    const [key] = await this.createAll([request], by);
    if (key === undefined) throw new Error('a repository was not created');
    return key;
  }

  /** Creates all of them or none. */
  async createAll(requests: readonly NewRepository[], by: string): Promise<readonly RepoKey[]> {
    const { readOnly } = this.#deps;
    readOnly.requireWritable();
    const candidates = requests.map((request) => this.#candidateOf(request));
    await this.#change(async (tx, rows, keyPairs) => {
      for (const candidate of candidates) {
        await insertRepository({ tx, rows, events: this.#deps.events }, candidate, by);
      }
      // Virtual repositories may name others of the same batch, whatever their order.
      for (const candidate of candidates) checkCandidate(candidate, undefined, this.#context(rows, keyPairs));
    });
    return candidates.map(({ key }) => key);
  }

  /** Changes the settings that are named and keeps the others. */
  update(key: string, settings: Settings, by: string): Promise<void> {
    return this.updateAll([{ key, settings }], by);
  }

  /** Changes all of them or none; `not_found` names those that are not there. */
  async updateAll(
    updates: readonly { readonly key: string; readonly settings: Settings }[],
    by: string,
  ): Promise<void> {
    const { events, secrets, readOnly } = this.#deps;
    for (const { key } of updates) readOnly.requireWritable(key);
    await this.#change(async (tx, rows, keyPairs) => {
      const missing = updates.filter(({ key }) => !rows.has(key));
      if (missing.length > 0) throw unknownRepository(...missing.map(({ key }) => key));
      const changed: { before: StoredRow; after: StoredRow }[] = [];
      for (const { key, settings } of updates) {
        const before = rows.get(key) as StoredRow;
        requireSame(before, settings);
        const given = servedSettings(before.packageType, parseSettings(before.rclass, settings));
        const after = {
          ...before,
          config: { ...before.config, ...sealSettings(secrets, key, given, before.config) },
        };
        rows.set(key, after);
        changed.push({ before, after });
      }
      for (const { before, after } of changed) {
        checkCandidate(after, before, this.#context(rows, keyPairs));
        if (after.id === undefined) continue;
        await updateRepository(tx, after.id, after.config, Date.now());
        const changes = describeChanges(before.config, after.config);
        await events.append(tx, [{ type: 'repository.updated', repo: after.key, changes }], by);
      }
    });
  }

  /** Makes a federated repository of a local one, with what it holds. */
  async federate(key: string, by: string): Promise<void> {
    this.#deps.readOnly.requireWritable(key);
    await this.#change(async (tx, rows) => {
      const row = rows.get(key);
      if (row?.id === undefined) throw unknownRepository(key);
      if (row.rclass !== 'local' || isSystemRepository(key)) {
        throw new AppError('invalid', `Only a local repository can become a federated one, which "${key}" is not.`);
      }
      await updateRepositoryClass(tx, row.id, 'federated', Date.now());
      const changes = { rclass: { from: row.rclass, to: 'federated' } };
      await this.#deps.events.append(tx, [{ type: 'repository.updated', repo: row.key, changes }], by);
    });
  }

  #candidateOf(request: NewRepository): StoredRow {
    const key = parseNewRepoKey(request.key);
    const rclass = parseClass(request.rclass);
    const packageType = parsePackageType(request.packageType, rclass);
    this.#deps.formats.find(({ packageTypes }) => packageTypes.includes(packageType))?.checkKey?.(key);
    const given = servedSettings(packageType, parseSettings(rclass, request.config ?? {}));
    const config = sealSettings(this.#deps.secrets, key, given, {});
    return { key, rclass, packageType, config };
  }

  #context(rows: ReadonlyMap<string, StoredRow>, keyPairs: ReadonlySet<string>): CheckContext {
    const { configuration, ownOrigins } = this.#deps;
    return { rows, layouts: configuration.layouts, keyPairs, ownOrigins };
  }

  /** One change of the set of repositories; they happen one after another. */
  async #change(
    work: (tx: Tx, rows: Map<string, StoredRow>, keyPairs: ReadonlySet<string>) => Promise<void>,
  ): Promise<void> {
    await this.#deps.database.transaction(async (tx) => {
      await lockScope(tx, 'repositories');
      const rows = await listRepositories(tx);
      await work(tx, new Map(rows.map((row): [string, StoredRow] => [row.key, row])), await keyPairNames(tx));
    });
    await this.#deps.repositories.reload();
  }

  /** Deletes a repository with all it holds, a batch of files at a time; interrupted, it can be deleted again. */
  async delete(key: string, by: string): Promise<void> {
    const { database } = this.#deps;
    const row = (await this.list()).find((candidate) => candidate.key === key);
    if (!row) throw unknownRepository(key);
    if (isSystemRepository(key)) {
      throw new AppError('invalid', `The repository "${key}" is one the server itself needs, so it stays.`);
    }
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
      this.#deps.readOnly.requireWritable(row.key);
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
    const { database, events, accounts, readOnly } = this.#deps;
    return database.transaction(async (tx) => {
      await lockScope(tx, 'repositories');
      await deleteRepository(tx, row.id);
      await this.#leaveVirtuals(tx, row.key, by);
      await readOnly.forget(tx, row.key);
      await forgetRepository(accounts, tx, row.key);
      if (row.rclass === 'remote') await forgetRepository(accounts, tx, cacheKeyOf(row.key));
      await events.append(tx, [{ type: 'repository.deleted', repo: row.key }], by);
    });
  }

  /** Virtual repositories go on without a member that is deleted. */
  async #leaveVirtuals(tx: Tx, key: RepoKey, by: string): Promise<void> {
    for (const row of await listRepositories(tx)) {
      const members = namesOf(row.config['repositories']);
      if (!members.includes(key)) continue;
      const config: Record<string, unknown> = { ...row.config, repositories: members.filter((name) => name !== key) };
      if (config['defaultDeploymentRepo'] === key) delete config['defaultDeploymentRepo'];
      await updateRepository(tx, row.id, config, Date.now());
      const changes = describeChanges(row.config, config);
      await this.#deps.events.append(tx, [{ type: 'repository.updated', repo: row.key, changes }], by);
    }
  }
}

function requireSame(row: Candidate, settings: Settings): void {
  const wanted = { class: settings['rclass'], 'package type': settings['packageType'], key: settings['key'] };
  const current = { class: row.rclass, 'package type': row.packageType, key: row.key };
  for (const [what, value] of Object.entries(wanted)) {
    if (typeof value !== 'string') continue;
    const now = current[what as keyof typeof current];
    const same =
      what === 'package type' ? packageTypeOf(value)?.name === now : value.toLowerCase() === now.toLowerCase();
    if (!same) {
      throw new AppError('invalid', `The ${what} of a repository cannot be changed from "${now}" to "${clip(value)}".`);
    }
  }
}

function isSystemRepository(key: string): boolean {
  return SYSTEM_REPOSITORIES.some((system) => system.key === key);
}

function unknownRepository(...keys: readonly string[]): AppError {
  const named = keys.map((key) => `"${clip(key)}"`).join(', ');
  return new AppError('not_found', `There is no repository ${named}.`, { keys });
}
