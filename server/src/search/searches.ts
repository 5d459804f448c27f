/** Runs searches for callers: within their rights, a few at a time for each of them, and not for ever. */
import { AppError } from '../core/errors.ts';

import type { Principal } from '../core/principal.ts';
import type { Database } from '../db/database.ts';
import { compileSearch } from '../db/search/compile.ts';
import type { Search } from '../db/search/criteria.ts';
import { domainOf } from '../db/search/domains.ts';
import type { Row } from '../db/search/reader.ts';
import { type ResultRow, RowRenderer, type SumsOf } from './rows.ts';
import { type CallerScope, type ScopeOptions, type SearchedRepositories, scopeOf } from './scope.ts';

export interface SearchDeps {
  readonly database: Database;
  readonly repositories: SearchedRepositories;
  readonly blobs: { checksumsOf: SumsOf };
  readonly limits: SearchLimits;
}

export interface SearchLimits {
  /** Searches one caller may have under way. */
  readonly maxPerUser: number;
  readonly timeoutMs: number;
}

export interface Caller {
  readonly principal: Principal;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export type SearchRequest = Omit<Search, 'scope'>;

/** Of all callers together: each has a connection, and so memory, of its own. */
const MAX_OPEN = 200;

export class Searches {
  readonly #deps: SearchDeps;
  readonly #underWay = new Map<string, number>();
  #open = 0;

  constructor(deps: SearchDeps) {
    this.#deps = deps;
  }

  scope(principal: Principal, options: ScopeOptions): CallerScope {
    return scopeOf(this.#deps.repositories, principal, options);
  }

  /**
   * The rows found, as answers show them. `rate_limited` when the caller has too many searches under way, `timeout`
   * when it takes too long. What was found first is there when this returns, so that failures come before an answer.
   */
  async find(request: SearchRequest, scope: CallerScope, caller: Caller): Promise<AsyncGenerator<ResultRow>> {
    const compiled = this.#compile(request, scope);
    const renderer = new RowRenderer(compiled, scope, (sha256) => this.#deps.blobs.checksumsOf(sha256));
    const batches = this.#run(compiled, caller);
    return started(async function* () {
      for await (const batch of batches) yield* await renderer.render(batch);
    });
  }

  /** The rows as they come from the database: the columns of every item, then the fields. */
  async *rows(request: SearchRequest, scope: CallerScope, caller: Caller): AsyncGenerator<Row> {
    for await (const batch of this.#run(this.#compile(request, scope), caller)) yield* batch.rows;
  }

  #compile(request: SearchRequest, scope: CallerScope) {
    return compileSearch({ ...request, scope }, this.#deps.database.dialect.name);
  }

  async *#run(compiled: ReturnType<typeof compileSearch>, { principal, signal }: Caller) {
    const { database, limits } = this.#deps;
    const release = this.#admit(principal);
    const late = new AbortController();
    const timer = setTimeout(
      () =>
        late.abort(
          new AppError(
            'timeout',
            `The search took longer than ${limits.timeoutMs / 1000} seconds. Ask for less at once.`,
          ),
        ),
      limits.timeoutMs,
    );
    timer.unref();
    try {
      yield* database.dialect.searches.run(compiled, AbortSignal.any([signal, late.signal]));
    } catch (error) {
      if (error instanceof AppError || signal.aborted) throw error;
      throw database.dialect.troubleOf(error) ?? error;
    } finally {
      clearTimeout(timer);
      release();
    }
  }

  #admit(principal: Principal): () => void {
    const who = principal.kind === 'user' ? principal.id : '';
    const count = this.#underWay.get(who) ?? 0;
    const { maxPerUser } = this.#deps.limits;
    if (count >= maxPerUser) {
      throw new AppError(
        'rate_limited',
        `You have ${maxPerUser} searches under way, which is as many as one user may have. Wait for one of them to end.`,
        { retryAfterSeconds: 1 },
      );
    }
    if (this.#open >= MAX_OPEN) {
      throw new AppError('rate_limited', 'Too many searches are under way on this server. Try again.', {
        retryAfterSeconds: 2,
      });
    }
    this.#open += 1;
    this.#underWay.set(who, count + 1);
    return () => {
      this.#open -= 1;
      const left = (this.#underWay.get(who) ?? 1) - 1;
      if (left > 0) this.#underWay.set(who, left);
      else this.#underWay.delete(who);
    };
  }
}

/** Reads the first item at once, so that what is wrong shows before anything is answered. */
async function started<T>(make: () => AsyncGenerator<T>): Promise<AsyncGenerator<T>> {
  const items = make();
  const first = await items.next();
  return (async function* () {
    try {
      if (first.done) return;
      yield first.value;
      yield* items;
    } finally {
      await items.return(undefined);
    }
  })();
}

/** A search for items by their own fields: what the searches besides AQL are made of. */
export function itemSearch(request: Partial<SearchRequest> & Pick<SearchRequest, 'where'>): SearchRequest {
  return {
    domain: domainOf('item').name,
    fields: [],
    includes: [],
    sort: [],
    limit: undefined,
    offset: 0,
    ...request,
  };
}
