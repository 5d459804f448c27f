/**
 * What a first start offers, so that the server is useful at once: for each type a local, a remote and a virtual
 * repository over both. Upstreams that are not known are looked for when the server listens, since programs are asked.
 */
import { AppError } from '../core/errors.ts';
import type { Format } from '../core/format.ts';
import { parseNewRepoKey } from '../core/ids.ts';
import type { Machine, UpstreamSettings } from '../core/public-upstream.ts';
import { type Database, lockScope, type Tx } from '../db/database.ts';
import { listRepositories, updateRepository } from '../db/repositories.ts';
import { createSetting, getSetting, updateSetting } from '../db/settings.ts';
import type { EventLog } from '../events/event-log.ts';
import { type Candidate, checkCandidate, namesOf } from './checks.ts';
import type { RepositoryDirectory } from './directory.ts';
import { insertRepository, type StoredRow, takenBy } from './insertion.ts';
import type { ReadOnly } from './read-only.ts';
import { describeChanges } from './settings.ts';

export interface FirstStartDeps {
  readonly database: Database;
  readonly events: EventLog;
  readonly formats: readonly Format[];
  readonly repositories: Pick<RepositoryDirectory, 'reload'>;
  readonly readOnly: Pick<ReadOnly, 'of'>;
  /** Addresses that the configuration gives, by type. */
  readonly upstreams: Readonly<Record<string, string | undefined>>;
  /** Where this server says it is reached. */
  readonly ownOrigins: readonly string[];
  /** What is running there ends with the signal. */
  openMachine(signal: AbortSignal): Machine;
}

/** What became of the remote repository of a type. */
export type RemoteOutcome = { readonly packageType: string } & (
  | { readonly made: true; readonly url: string }
  /** The reason is a sentence, where there is more to say than that no upstream is known. */
  | { readonly made: false; readonly reason?: string }
);

export type Bootstrap = 'default' | 'minimal' | 'none';

/** Setting that tells that the first start's repositories were made. */
const MADE = 'repositories.defaults';
/** Setting that tells of which types the remote repository was not made yet. */
const PENDING = 'repositories.defaults.remotes';
const BY = '_system_';

/** Whether an upstream is still to be looked for, or was not found: then only the configuration can say one. */
type Pending = Readonly<Record<string, 'sought' | 'missing'>>;

interface Change {
  readonly tx: Tx;
  readonly rows: Map<string, StoredRow>;
}

export class FirstStart {
  readonly #deps: FirstStartDeps;
  readonly #ending = new AbortController();
  #begun: readonly RemoteOutcome[] = [];
  #looking: Promise<void> = Promise.resolve();

  constructor(deps: FirstStartDeps) {
    this.#deps = deps;
  }

  /**
   * Makes what can be made without asking anybody. Done once for ever, in one transaction: a start that was cut before
   * it leaves it to the next, and what an administrator deletes later stays deleted.
   */
  async begin(bootstrap: Bootstrap): Promise<void> {
    const outcomes: RemoteOutcome[] = [];
    await this.#change(async (change) => {
      outcomes.length = 0;
      const isFirst = (await getSetting(change.tx, MADE)) === undefined;
      if (isFirst) await this.#makeAll(change, bootstrap);
      const pending = await readPending(change.tx);
      for (const packageType of Object.keys(pending)) {
        const settings = this.#knownSettings(packageType);
        if (settings) outcomes.push(...(await this.#settle(change, packageType, settings)));
        else if (isFirst && pending[packageType] === 'missing') outcomes.push({ packageType, made: false });
      }
    });
    this.#begun = outcomes;
  }

  /** Tells what became of the remote repositories, and looks for the upstreams that are not known yet. */
  start(report: (outcome: RemoteOutcome) => void, onError: (error: unknown) => void): void {
    this.#begun.forEach(report);
    this.#looking = this.#look(report).catch(onError);
  }

  /** Waits until it has looked for all. */
  settled(): Promise<void> {
    return this.#looking;
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#looking;
  }

  async #makeAll(change: Change, bootstrap: Bootstrap): Promise<void> {
    const { formats } = this.#deps;
    const served = bootstrap === 'default' ? formats.filter(({ publicUpstream }) => publicUpstream) : [];
    const types = served.flatMap(({ packageTypes }) => packageTypes.slice(0, 1)).sort();
    const locals = { default: [...types, 'generic'], minimal: ['docker', 'generic'], none: [] }[bootstrap];
    await createSetting(change.tx, MADE, locals.join(','));
    for (const packageType of locals) {
      await this.#make(change, { key: `${packageType}-local`, rclass: 'local', packageType, config: {} });
    }
    for (const packageType of types) {
      const local = `${packageType}-local`;
      const config = { repositories: [local], defaultDeploymentRepo: local };
      await this.#make(change, { key: packageType, rclass: 'virtual', packageType, config });
    }
    const pending = types.map((type) => [type, this.#upstreamOf(type)?.find ? 'sought' : 'missing']);
    await updateSetting(change.tx, PENDING, JSON.stringify(Object.fromEntries(pending)));
  }

  #upstreamOf(packageType: string): Format['publicUpstream'] {
    return this.#deps.formats.find(({ packageTypes }) => packageTypes[0] === packageType)?.publicUpstream;
  }

  /** What the configuration says, else what is the same everywhere. */
  #knownSettings(packageType: string): UpstreamSettings | undefined {
    const upstream = this.#upstreamOf(packageType);
    const address = this.#deps.upstreams[packageType] ?? upstream?.address;
    return address === undefined ? undefined : (upstream?.settingsFor?.(address) ?? { url: address });
  }

  async #look(report: (outcome: RemoteOutcome) => void): Promise<void> {
    const { signal } = this.#ending;
    const machine = this.#deps.openMachine(signal);
    const pending = await this.#deps.database.read(readPending);
    for (const packageType of Object.keys(pending).filter((type) => pending[type] === 'sought')) {
      const settings = await this.#upstreamOf(packageType)?.find?.(machine);
      // What was cut short is looked for again at the next start, and so is what may not be written now.
      if (signal.aborted || this.#deps.readOnly.of()) return;
      const outcomes = await this.#change(async (change) => {
        // Another server over the same database was faster.
        if ((await readPending(change.tx))[packageType] !== 'sought') return [];
        return this.#settle(change, packageType, settings);
      });
      outcomes.forEach(report);
    }
  }

  /** Makes the remote repository, or notes that it is missing; nothing is told where somebody made one of the key. */
  async #settle(
    change: Change,
    packageType: string,
    settings: UpstreamSettings | undefined,
  ): Promise<readonly RemoteOutcome[]> {
    const key = `${packageType}-remote`;
    const { [packageType]: _settled, ...others } = await readPending(change.tx);
    let outcome: RemoteOutcome = { packageType, made: false };
    if (takenBy(key, change.rows) === undefined && settings) {
      outcome = await this.#makeRemote(change, packageType, settings);
    }
    const isSettled = outcome.made || takenBy(key, change.rows) !== undefined;
    const pending = isSettled ? others : { ...others, [packageType]: 'missing' };
    await updateSetting(change.tx, PENDING, JSON.stringify(pending));
    return isSettled && !outcome.made ? [] : [outcome];
  }

  /** Makes it and puts it into the virtual one. */
  async #makeRemote(change: Change, packageType: string, config: UpstreamSettings): Promise<RemoteOutcome> {
    const key = `${packageType}-remote`;
    try {
      await this.#make(change, { key, rclass: 'remote', packageType, config });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return { packageType, made: false, reason: error.message };
    }
    await this.#join(change, packageType, key);
    return { packageType, made: true, url: config['pyPIRegistryUrl'] ?? config.url };
  }

  async #join(change: Change, packageType: string, key: string): Promise<void> {
    const virtual = change.rows.get(packageType);
    if (virtual?.id === undefined || virtual.rclass !== 'virtual' || virtual.packageType !== packageType) return;
    const after = { ...virtual.config, repositories: [...namesOf(virtual.config['repositories']), key] };
    await updateRepository(change.tx, virtual.id, after, Date.now());
    const changes = describeChanges(virtual.config, after);
    await this.#deps.events.append(change.tx, [{ type: 'repository.updated', repo: virtual.key, changes }], BY);
  }

  /** A key that somebody took before stays theirs. */
  async #make(
    { tx, rows }: Change,
    { key: text, ...row }: Omit<Candidate, 'key'> & { readonly key: string },
  ): Promise<void> {
    const candidate = { ...row, key: parseNewRepoKey(text) };
    if (takenBy(text, rows) !== undefined) return;
    const { events, ownOrigins } = this.#deps;
    checkCandidate(candidate, undefined, { rows, layouts: new Map(), keyPairs: new Set(), ownOrigins });
    await insertRepository({ tx, rows, events }, candidate, BY);
  }

  async #change<T>(work: (change: Change) => Promise<T>): Promise<T> {
    const { database, repositories } = this.#deps;
    const result = await database.transaction(async (tx) => {
      await lockScope(tx, 'repositories');
      const rows = await listRepositories(tx);
      return work({ tx, rows: new Map(rows.map((row): [string, StoredRow] => [row.key, row])) });
    });
    await repositories.reload();
    return result;
  }
}

async function readPending(db: Parameters<typeof getSetting>[0]): Promise<Pending> {
  return JSON.parse((await getSetting(db, PENDING)) ?? '{}') as Pending;
}
