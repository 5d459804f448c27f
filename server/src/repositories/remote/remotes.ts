/** What all remote repositories of this process share, whatever changes in their settings: what is being asked and known. */
import type { Upstream } from '../../core/upstream.ts';
import type { Database } from '../../db/database.ts';
import { purgeLeases } from '../../db/fetch-leases.ts';
import { purgeAbsences } from '../../db/remote-items.ts';
import type { RepositoryRow } from '../../db/repositories.ts';
import { singleflight } from '../../lib/singleflight.ts';
import type { HeadersFound } from './errand.ts';
import { Flights } from './flights.ts';
import { FolderListings } from './folder-listings.ts';
import { Freshness } from './freshness.ts';
import { Synchronisation } from './synchronisation.ts';
import type { RemoteTraffic } from './traffic.ts';

export interface RemotesDeps {
  readonly database: Database;
  /** The upstream as the settings say; throws an UpstreamFailure where they name none that can be asked. */
  readonly upstreamOf: (row: RepositoryRow) => Upstream;
  readonly warn: (fields: object, message: string) => void;
  readonly traffic: RemoteTraffic;
}

const OLD_LEASE_MS = 60_000;
const PURGE_BATCH = 500;

export class Remotes {
  readonly flights: Flights;
  readonly freshness: Freshness;
  readonly listings = new FolderListings();
  readonly synchronisation: Synchronisation;
  /** Questions for headers alone: many at once are one. */
  readonly questions = singleflight<HeadersFound | 'unanswered'>();
  readonly warn: RemotesDeps['warn'];
  readonly upstreamOf: RemotesDeps['upstreamOf'];
  readonly traffic: RemoteTraffic;
  readonly #database: Database;

  constructor(deps: RemotesDeps) {
    this.#database = deps.database;
    this.flights = new Flights(deps.database);
    this.freshness = new Freshness(deps.database);
    this.synchronisation = new Synchronisation(deps.database);
    this.warn = deps.warn;
    this.upstreamOf = deps.upstreamOf;
    this.traffic = deps.traffic;
  }

  /** Removes rows that tell nothing any more. */
  async purge(): Promise<void> {
    await this.#database.transaction((tx) => purgeLeases(tx, OLD_LEASE_MS), { durable: false });
    for (let removed = PURGE_BATCH; removed === PURGE_BATCH; ) {
      removed = await this.#database.transaction((tx) => purgeAbsences(tx, Date.now(), PURGE_BATCH), {
        durable: false,
      });
      await new Promise(setImmediate);
    }
  }

  /** Ends what is being asked. */
  async stop(): Promise<void> {
    await this.synchronisation.stop();
    await this.flights.stop();
  }
}
