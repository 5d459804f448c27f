/** Sorting so much that others have to be let in meanwhile. */
import { Spell } from './spell.ts';

/** Sorted at once: about a millisecond of work. */
const CHUNK = 1000;

/** The items in order; equal ones stay in the order in which they are. */
export async function sortInTurns<T>(items: readonly T[], compare: (a: T, b: T) => number): Promise<T[]> {
  const spell = new Spell();
  let lists: T[][] = [];
  for (let at = 0; at < items.length; at += CHUNK) {
    lists.push(items.slice(at, at + CHUNK).sort(compare));
    if (spell.isOver) await spell.rest();
  }
  while (lists.length > 1) {
    const halved: T[][] = [];
    for (let i = 0; i < lists.length; i += 2)
      halved.push(await merge(lists[i] ?? [], lists[i + 1] ?? [], compare, spell));
    lists = halved;
  }
  return lists[0] ?? [];
}

async function merge<T>(some: T[], others: T[], compare: (a: T, b: T) => number, spell: Spell): Promise<T[]> {
  const [last, next] = [some.at(-1), others[0]];
  if (last === undefined || next === undefined || compare(last, next) <= 0) return some.concat(others);
  const merged: T[] = [];
  for (let [i, j] = [0, 0]; i < some.length || j < others.length; ) {
    const takesOther = i === some.length || (j < others.length && compare(some[i] as T, others[j] as T) > 0);
    merged.push((takesOther ? others[j++] : some[i++]) as T);
    if (merged.length % CHUNK === 0 && spell.isOver) await spell.rest();
  }
  return merged;
}
