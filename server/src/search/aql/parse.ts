/**
 * The Artifactory query language. Braces do not group: whatever commas separate belongs to the nearest `$and` or `$or`
 * around it. So this is no JSON parser, and keys may stand any number of times.
 */
import type { Criterion } from '../../db/search/criteria.ts';
import { type Domain, rootDomain } from '../../db/search/domains.ts';
import { criterionFor } from './conditions.ts';
import { Scanner } from './scanner.ts';

export interface AqlQuery {
  readonly domain: Domain;
  readonly where: Criterion;
  /** Undefined when the query does not say. */
  readonly include: readonly string[] | undefined;
  readonly sort: { readonly descending: boolean; readonly fields: readonly string[] } | undefined;
  readonly limit: number | undefined;
  readonly offset: number;
  readonly transitive: boolean;
  /** Whether any criterion is about what kind of item is meant. */
  readonly asksForType: boolean;
  /** Texts that the repository was compared with. */
  readonly repositories: readonly string[];
  /** What is wrong further on, where the words are right: told near the place where it was found. */
  failure(reason: string): Error;
}

const MAX_DEPTH = 100;
const MAX_CRITERIA = 10_000;
const MAX_LENGTH = 2 * 1024 * 1024;
const GROUPS = ['$and', '$or', '$msp', '$rf'];
const COMPARISONS = ['$eq', '$ne', '$gt', '$gte', '$lt', '$lte', '$match', '$nmatch', '$last', '$before'];

/** Takes the text of a query; whatever is no query is `invalid`. `now` is what relative times count from. */
export function parseAql(text: string, now: number): AqlQuery {
  const scanner = new Scanner(text);
  if (text.length > MAX_LENGTH) throw scanner.failure('it is too long');
  return new Parser(scanner, now).query();
}

class Parser {
  readonly #scanner: Scanner;
  readonly #now: number;
  #domain: Domain | undefined;
  #criteria = 0;
  #asksForType = false;
  readonly #repositories: string[] = [];

  constructor(scanner: Scanner, now: number) {
    this.#scanner = scanner;
    this.#now = now;
  }

  query(): AqlQuery {
    const scanner = this.#scanner;
    const domain = this.#domainName();
    this.#domain = domain;
    const of: Criterion[] = [];
    scanner.needs('(');
    if (!scanner.takes(')')) {
      do this.#braces(of, 0);
      while (scanner.takes(','));
      scanner.needs(')');
    }
    const suffixes = this.#suffixes();
    scanner.needsEnd();
    return {
      domain,
      where: { kind: 'all', of },
      include: undefined,
      sort: undefined,
      limit: undefined,
      offset: 0,
      transitive: false,
      ...suffixes,
      asksForType: this.#asksForType,
      repositories: this.#repositories,
      failure: (reason) => scanner.failure(reason),
    };
  }

  #domainName(): Domain {
    const scanner = this.#scanner;
    const words: string[] = [];
    for (;;) {
      const word = scanner.word();
      if (word === 'find' && words.length > 0) break;
      words.push(word);
      if (words.length > 3) throw scanner.failure();
      scanner.needs('.');
    }
    const domain = rootDomain(words.join('.'));
    if (!domain) throw scanner.failure();
    return domain;
  }

  /** `{ … }`: its entries go to the group around it. */
  #braces(into: Criterion[], depth: number): void {
    const scanner = this.#scanner;
    scanner.needs('{');
    if (scanner.takes('}')) return;
    do this.#entry(into, depth);
    while (scanner.takes(','));
    scanner.needs('}');
  }

  #entry(into: Criterion[], depth: number): void {
    const scanner = this.#scanner;
    const key = scanner.string();
    scanner.needs(':');
    if (GROUPS.includes(key)) {
      const group = this.#group(key, depth + 1);
      if (group) into.push(group);
      return;
    }
    if (!scanner.takes('{')) {
      into.push(this.#criterion(key, '$eq'));
      return;
    }
    do {
      const comparison = scanner.string();
      if (!COMPARISONS.includes(comparison)) throw scanner.failure();
      scanner.needs(':');
      into.push(this.#criterion(key, comparison));
    } while (scanner.takes(','));
    scanner.needs('}');
  }

  #group(kind: string, depth: number): Criterion | undefined {
    const scanner = this.#scanner;
    if (depth > MAX_DEPTH) throw scanner.failure(`it is nested deeper than ${MAX_DEPTH} levels`);
    const of: Criterion[] = [];
    scanner.needs('[');
    if (!scanner.takes(']')) {
      do this.#braces(of, depth);
      while (scanner.takes(','));
      scanner.needs(']');
    }
    if (of.length === 0) return undefined;
    if (kind === '$and') return { kind: 'all', of };
    if (kind === '$or') return { kind: 'any', of };
    return { kind: 'same', of, filters: kind === '$rf' };
  }

  #criterion(name: string, comparison: string): Criterion {
    const scanner = this.#scanner;
    this.#criteria += 1;
    if (this.#criteria > MAX_CRITERIA) throw scanner.failure(`it has more than ${MAX_CRITERIA} criteria`);
    const value = scanner.value();
    const criterion = criterionFor(this.#domain as Domain, { name, comparison, value }, this.#now);
    if (!criterion) throw scanner.failure();
    if (criterion.kind === 'field' && criterion.links.length === 0) {
      if (criterion.field === 'type') this.#asksForType = true;
      const isRepo = criterion.field === 'repo' || criterion.field === 'virtual_repos';
      if (isRepo && typeof value === 'string' && comparison !== '$ne') this.#repositories.push(value);
    }
    return criterion;
  }

  #suffixes(): Partial<AqlQuery> {
    const scanner = this.#scanner;
    const found: { -readonly [K in keyof AqlQuery]?: AqlQuery[K] } = {};
    const seen = new Set<string>();
    while (scanner.takes('.')) {
      const word = scanner.word();
      if (seen.has(word)) throw scanner.failure();
      seen.add(word);
      scanner.needs('(');
      if (word === 'include') found.include = this.#strings(')');
      else if (word === 'sort') found.sort = this.#sort();
      else if (word === 'limit') found.limit = this.#wholeNumber();
      else if (word === 'offset') found.offset = this.#wholeNumber();
      else if (word === 'transitive') found.transitive = true;
      else if (word === 'distinct') {
        if (!scanner.takes('true')) scanner.needs('false');
      } else throw scanner.failure();
      scanner.needs(')');
    }
    return found;
  }

  #wholeNumber(): number {
    const number = this.#scanner.number();
    if (!Number.isSafeInteger(number) || number < 0) throw this.#scanner.failure('a whole number is needed');
    return number;
  }

  #strings(end: string): string[] {
    const scanner = this.#scanner;
    const found: string[] = [];
    if (scanner.sees(end)) return found;
    do found.push(scanner.string());
    while (scanner.takes(','));
    return found;
  }

  #sort(): NonNullable<AqlQuery['sort']> {
    const scanner = this.#scanner;
    scanner.needs('{');
    const direction = scanner.string();
    if (direction !== '$asc' && direction !== '$desc') throw scanner.failure();
    scanner.needs(':');
    scanner.needs('[');
    const fields = this.#strings(']');
    if (fields.length === 0) throw scanner.failure();
    scanner.needs(']');
    scanner.needs('}');
    return { descending: direction === '$desc', fields };
  }
}
