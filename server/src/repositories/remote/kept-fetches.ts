/** How a remote repository gives what is wanted of it: what it keeps as long as that will do, else what its upstream says. */
import { AppError, isAppError } from '../../core/errors.ts';
import { clip, type RepoKey } from '../../core/ids.ts';
import type { Arriving, Asset, Purpose, Wanted } from '../../core/repository.ts';
import { type Upstream, UpstreamFailure } from '../../core/upstream.ts';
import type { RemoteItem } from '../../db/remote-items.ts';
import { traceStep } from '../../lib/trace.ts';
import type { Access } from '../leaf.ts';
import type { LocalDeps, LocalRepository } from '../local.ts';
import type { Announcement } from './announcement.ts';
import { type Description, troubleOf } from './answers.ts';
import { type AskedFetch, FileErrand } from './errand.ts';
import type { Flight } from './flight.ts';
import type { Remotes } from './remotes.ts';
import type { RemoteSettings } from './settings.ts';

export interface RemoteDeps extends LocalDeps {
  readonly remotes: Remotes;
}

export interface KeptFetchesDeps {
  readonly id: number;
  readonly key: RepoKey;
  readonly local: LocalRepository;
  readonly settings: RemoteSettings;
  /** Throws an UpstreamFailure where the settings name none that can be asked. */
  upstream(): Upstream;
  readonly of: RemoteDeps;
}

export interface Request {
  readonly wanted: Wanted;
  readonly fetch: AskedFetch;
  readonly purpose: Purpose;
  readonly access: Access;
  /** Whether what is kept is given on when the upstream has none any more. */
  readonly outlives: boolean;
}

interface Asked extends Request {
  readonly held: Asset | undefined;
  readonly item: RemoteItem | undefined;
}

const STALE = '110 - "Response is Stale"';

export class KeptFetches {
  readonly #deps: KeptFetchesDeps;

  constructor(deps: KeptFetchesDeps) {
    this.#deps = deps;
  }

  /** What is wanted; `held` is what is kept of it. Whether the caller may read it was asked before. */
  async serve(request: Request, held: Asset | undefined): Promise<Asset | Arriving | undefined> {
    const { fetch, purpose, access } = request;
    const { freshness } = this.#deps.of.remotes;
    const item = await freshness.get(this.#deps.id, fetch.key);
    if (item && item.absentUntil > Date.now()) {
      const until = new Date(item.absentUntil).toISOString();
      traceStep(`${item.reason ?? ''} It is asked again after ${until}.`, 'caller');
      return undefined;
    }
    if (held && item && this.#isFresh(item)) return held;
    if (purpose === 'held' && !held) return undefined;
    const reason = this.#reasonNotToAsk(fetch, held, access);
    if (purpose === 'held' && (reason === undefined || reason.isStale)) return undefined;
    if (reason === undefined) return this.#ask({ ...request, held, item });
    traceStep(reason.text, 'caller');
    if (!held) return undefined;
    return reason.isStale ? { ...held, warning: STALE } : held;
  }

  /** In sentences, what would become of asking now. Asks nobody. */
  async outlook(fetch: AskedFetch): Promise<readonly string[]> {
    const { id, key, settings } = this.#deps;
    if (settings.offline) return [`The repository "${key}" is set offline, so its upstream is not asked.`];
    const { freshness } = this.#deps.of.remotes;
    const item = await freshness.get(id, fetch.key);
    if (item && item.absentUntil > Date.now()) {
      return [`${item.reason ?? ''} It is asked again after ${new Date(item.absentUntil).toISOString()}.`];
    }
    const told = [freshness.graceOf(id, fetch.key), this.#upstreamPause()].filter((text) => text !== undefined);
    if (told.length > 0) return told;
    if (item && this.#isFresh(item)) return [`What is kept was checked ${new Date(item.checkedAt).toISOString()}.`];
    return [`The upstream of "${key}" would be asked for "${clip(fetch.path, 300)}".`];
  }

  /** Decided here, before anything is sent; throws where the caller may be told so, and there is nothing else to give. */
  #reasonNotToAsk(
    fetch: AskedFetch,
    held: Asset | undefined,
    access: Access,
  ): { readonly text: string; readonly isStale: boolean } | undefined {
    const what = `"${clip(fetch.path, 300)}"`;
    if (this.#deps.settings.offline) {
      return {
        text: `The repository "${this.#deps.key}" is set offline: ${what} is served only if it is kept.`,
        isStale: false,
      };
    }
    if (!access.allows('deploy', fetch.path)) {
      const text = `"${access.principalName}" may read what "${this.#deps.key}" keeps, but filling it needs the right to deploy.`;
      if (held) return { text, isStale: false };
      traceStep(text, 'caller');
      access.require('deploy', fetch.path);
    }
    const grace = held && this.#deps.of.remotes.freshness.graceOf(this.#deps.id, fetch.key);
    if (grace !== undefined) return { text: `The kept copy of ${what} is served: ${grace}`, isStale: true };
    return undefined;
  }

  async #ask(asked: Asked): Promise<Asset | Arriving | undefined> {
    const { fetch, held, purpose } = asked;
    traceStep(
      held
        ? `The kept copy of "${clip(fetch.path, 300)}" is too old, so the upstream of "${this.#deps.key}" is asked.`
        : `The upstream of "${this.#deps.key}" is asked for "${clip(fetch.path, 300)}".`,
      'caller',
    );
    try {
      const { flights } = this.#deps.of.remotes;
      const isLight = purpose === 'headers' && !held && !this.#deps.settings.bypassesHead;
      if (isLight && !flights.has(this.#deps.id, fetch.key)) {
        const arriving = await this.#askHeaders(asked);
        if (arriving !== 'unanswered') return arriving;
      }
      const flight = this.#fly(asked);
      const announcement = await this.#patiently(flight, held);
      return await this.#answer(announcement, flight, asked);
    } catch (error) {
      return this.#fallback(error, asked);
    }
  }

  async #askHeaders(asked: Asked): Promise<Asset | Arriving | 'unanswered' | undefined> {
    const { questions } = this.#deps.of.remotes;
    const found = await questions(`${this.#deps.id}\n${asked.fetch.key}`, () => this.#errand(asked).headers());
    if (found === 'unanswered') return found;
    if (found.kind === 'held') {
      return this.#deps.local.serve(asked.wanted, 'headers', asked.access);
    }
    if (found.kind === 'arriving') return this.#arriving(found.description, asked);
    traceStep(found.reason, 'caller');
    return undefined;
  }

  /** Waits for news only so long where there is an older copy; the asking goes on. */
  async #patiently(flight: Flight, held: Asset | undefined): Promise<Announcement> {
    const { patienceMs } = this.#deps.settings;
    if (!held || patienceMs <= 0) return flight.announced;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(
          new AppError(
            'unavailable',
            `The upstream of "${this.#deps.key}" did not answer within ${patienceMs / 1000} s.`,
          ),
        );
      }, patienceMs);
    });
    try {
      return await Promise.race([flight.announced, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #answer(announcement: Announcement, flight: Flight, asked: Asked): Promise<Asset | Arriving | undefined> {
    const { held, wanted, access } = asked;
    switch (announcement.kind) {
      case 'held':
        return this.#deps.local.serve(wanted, asked.purpose, access);
      case 'arriving':
        return this.#arriving(announcement.description, asked, flight);
      case 'absent': {
        traceStep(announcement.reason, 'caller');
        if (held && announcement.refused) {
          this.#deps.of.remotes.freshness.excuse(this.#deps.id, asked.fetch.key, announcement.reason);
          return { ...held, warning: STALE };
        }
        // Plain files outlive what they were copied from; a name that is gone upstream is gone here.
        if (held && asked.outlives) return held;
        return undefined;
      }
    }
  }

  /** What is given when asking failed: the older copy, with a warning; otherwise the failure. */
  #fallback(error: unknown, { fetch, held }: Asked): Asset {
    const trouble = error instanceof UpstreamFailure ? troubleOf(this.#deps.key, error) : error;
    if (!isAppError(trouble)) throw error;
    traceStep(trouble.message, 'caller');
    if (!held || this.#deps.settings.hardFail) throw trouble;
    this.#deps.of.remotes.freshness.excuse(this.#deps.id, fetch.key, trouble.message);
    return { ...held, warning: STALE };
  }

  #arriving(description: Description, asked: Asked, flight?: Flight): Arriving {
    let own = flight;
    const start = () => {
      own ??= this.#fly(asked);
      return own;
    };
    const { size, mediaType, modifiedAt, sha256, etag, sha1, md5 } = description;
    return {
      arriving: true,
      repo: this.#deps.local.key,
      path: description.path,
      size,
      mediaType,
      modifiedAt: modifiedAt === undefined ? undefined : new Date(modifiedAt),
      sha256,
      etag,
      declared: { sha1, md5 },
      content: { pump: async (range, write) => start().pump(range, write) },
      settled: async () => start().settled,
    };
  }

  #fly(asked: Asked): Flight {
    return this.#deps.of.remotes.flights.join(this.#errand(asked));
  }

  #errand({ wanted, fetch, held, item, access }: Asked): FileErrand {
    const { of: deps } = this.#deps;
    const { remotes } = deps;
    return new FileErrand(
      { ...deps, freshness: remotes.freshness, warn: remotes.warn },
      {
        repoId: this.#deps.id,
        repo: this.#deps.key,
        local: this.#deps.local,
        settings: this.#deps.settings,
        upstream: () => this.#upstream(),
        wanted,
        fetch,
        held,
        item,
        access,
      },
    );
  }

  #isFresh({ checkedAt, absentUntil }: RemoteItem): boolean {
    return absentUntil === 0 && Math.abs(Date.now() - checkedAt) < this.#deps.settings.freshMs;
  }

  #upstreamPause(): string | undefined {
    try {
      return this.#upstream().pause?.message;
    } catch (error) {
      if (error instanceof UpstreamFailure) return error.message;
      throw error;
    }
  }

  #upstream(): Upstream {
    return this.#deps.upstream();
  }
}
