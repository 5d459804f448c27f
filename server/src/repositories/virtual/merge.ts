/** Pages of several ordered lists as pages of one. */

/** What was read of an ordered list. */
export interface Stretch<T> {
  readonly items: readonly T[];
  /** All up to this is among the items; undefined when the list ends here. */
  readonly upTo: T | undefined;
}

/**
 * The first `limit` of the items that the lists hold together, in order; of equal ones that of the first list. What lies
 * behind a place up to which not all lists are known is left out.
 */
export function mergeStretches<T>(
  stretches: readonly Stretch<T>[],
  limit: number,
  compare: (one: T, other: T) => number,
): Stretch<T> {
  let horizon: T | undefined;
  for (const { upTo } of stretches) {
    if (upTo !== undefined && (horizon === undefined || compare(upTo, horizon) < 0)) horizon = upTo;
  }
  const positions = stretches.map(() => 0);
  const items: T[] = [];
  for (;;) {
    const least = leastOf(stretches, positions, compare);
    if (least === undefined || (horizon !== undefined && compare(least, horizon) > 0)) return { items, upTo: horizon };
    if (items.length === limit) return { items, upTo: items.at(-1) };
    items.push(least);
    for (const [i, { items: own }] of stretches.entries()) {
      for (let at = positions[i] ?? 0; ; at++) {
        const item = own[at];
        positions[i] = at;
        if (item === undefined || compare(item, least) !== 0) break;
      }
    }
  }
}

function leastOf<T>(
  stretches: readonly Stretch<T>[],
  positions: readonly number[],
  compare: (one: T, other: T) => number,
): T | undefined {
  let least: T | undefined;
  for (const [i, { items }] of stretches.entries()) {
    const item = items[positions[i] ?? 0];
    if (item !== undefined && (least === undefined || compare(item, least) < 0)) least = item;
  }
  return least;
}
