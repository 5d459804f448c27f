/** A search as data, whatever language it was written in. */
import type { SearchableRepository } from '../../core/read-rule.ts';
import type { DomainName } from './domains.ts';

/** `imatch` is `match` where the case of ASCII letters means nothing. */
export type Comparison = 'eq' | 'ne' | 'gt' | 'gte' | 'lt' | 'lte' | 'match' | 'nmatch' | 'imatch';

/** Dates are epoch milliseconds; patterns of `match` have `*` for any run and `?` for one character. */
export type Value = string | number | null;

/**
 * Conditions on the rows of a domain. `links` lead from the row to those that the condition is about; it holds when
 * one of them fulfils it. Conditions of one `all` that lead the same way are fulfilled by the same row, those about
 * properties by `@key` each by a row of its own.
 */
export type Criterion =
  | { readonly kind: 'all' | 'any'; readonly of: readonly Criterion[] }
  /** All about one row of the properties; `filters` has the answer show no others. */
  | { readonly kind: 'same'; readonly of: readonly Criterion[]; readonly filters: boolean }
  | {
      readonly kind: 'field';
      readonly links: readonly string[];
      readonly field: string;
      readonly op: Comparison;
      readonly value: Value;
    }
  /** `links` end at key and value rows; without a key any of them counts. */
  | {
      readonly kind: 'property';
      readonly links: readonly string[];
      readonly key: string | undefined;
      readonly op: Comparison;
      readonly value: Value;
    };

export interface SortField {
  readonly links: readonly string[];
  readonly field: string;
  readonly descending: boolean;
}

/** Rows of another domain to be shown with each row found, and others with those. */
export interface Include {
  readonly link: string;
  readonly fields: readonly string[];
  /** Shows only key and value rows with one of these keys. */
  readonly keys?: readonly string[];
  readonly includes: readonly Include[];
}

export interface Search {
  readonly domain: DomainName;
  readonly where: Criterion;
  readonly fields: readonly string[];
  readonly includes: readonly Include[];
  readonly sort: readonly SortField[];
  readonly limit: number | undefined;
  readonly offset: number;
  /** What the caller may read; nothing else is seen by any part of the search. */
  readonly scope: SearchScope;
}

export interface SearchScope {
  /** The repositories that are searched, by id. */
  readonly repositories: ReadonlyMap<number, SearchableRepository>;
  /** All of which the caller may read some part. */
  readonly readable: readonly SearchableRepository[];
  /** Whether the caller may read every build; else only those whose document may be read. */
  readonly everyBuild: boolean;
  /** Ids of the repositories a name stands for: the leaf of that name, or the members of a virtual one. */
  expand(name: string): readonly number[];
  /** What answers call the repository. */
  nameOf(id: number): string;
}
