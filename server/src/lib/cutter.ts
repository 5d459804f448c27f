/**
 * Cuts lists into stretches of some size at places that the items themselves decide: what changes in one place leaves
 * the cuts elsewhere where they were, and a stretch with the same items is the same object, with all that hangs on it.
 */

export interface Cutting<Item extends object, Stretch> {
  readonly minBytes: number;
  readonly maxBytes: number;
  sizeOf(item: Item): number;
  /** What the places to cut at are chosen by. */
  nameOf(item: Item): string;
  make(items: readonly Item[]): Stretch;
  itemsOf(stretch: Stretch): readonly Item[];
}

/** One item in so many is a place to cut at. */
const PLACES = 4;
/** Stretches are remembered that begin alike, such as those of an index and of others that are merged of it. */
const ALIKE = 4;

export class Cutter<Item extends object, Stretch> {
  readonly #cutting: Cutting<Item, Stretch>;
  readonly #known = new WeakMap<Item, Stretch[]>();

  constructor(cutting: Cutting<Item, Stretch>) {
    this.#cutting = cutting;
  }

  /** The stretches of the list, in its order; none is empty, and an item that is too large is one by itself. */
  *cut(items: Iterable<Item>): Generator<Stretch, void, void> {
    const { minBytes, maxBytes, sizeOf, nameOf } = this.#cutting;
    let gathered: Item[] = [];
    let bytes = 0;
    for (const item of items) {
      const size = sizeOf(item);
      const isFull = bytes + size > maxBytes || (bytes >= minBytes && isPlace(nameOf(item)));
      if (gathered.length > 0 && isFull) {
        yield this.#stretch(gathered);
        gathered = [];
        bytes = 0;
      }
      gathered.push(item);
      bytes += size;
    }
    if (gathered.length > 0) yield this.#stretch(gathered);
  }

  #stretch(items: readonly Item[]): Stretch {
    const first = items[0] as Item;
    const alike = this.#known.get(first) ?? [];
    const known = alike.find((stretch) => isSame(this.#cutting.itemsOf(stretch), items));
    if (known !== undefined) return known;
    const made = this.#cutting.make(items);
    this.#known.set(first, [made, ...alike.slice(0, ALIKE - 1)]);
    return made;
  }
}

function isSame<Item>(some: readonly Item[], others: readonly Item[]): boolean {
  return some.length === others.length && some.every((item, i) => item === others[i]);
}

/** Names that differ in a letter only have to differ in this, so the sum is stirred well. */
function isPlace(name: string): boolean {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return (hash >>> 16) % PLACES === 0;
}
