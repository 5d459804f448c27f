/** The order of versions whose scheme is not known: what most schemes agree on. */

/** Words that come before the release they are attached to, in this order; an unknown word comes before it too. */
const BEFORE = ['dev', 'snapshot', 'alpha', 'a', 'beta', 'b', 'milestone', 'm', 'rc', 'cr', 'pre', 'preview'];
/** Words that mean the release itself, or what follows it. */
const AFTER = ['', 'final', 'ga', 'release', 'sp', 'post'];

/** Below zero when the first version is older. */
export function compareVersions(one: string, other: string): number {
  const [first, second] = [partsOf(one), partsOf(other)];
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    const difference = compareParts(first[i] ?? '', second[i] ?? '');
    if (difference !== 0) return difference;
  }
  return one < other ? -1 : one > other ? 1 : 0;
}

function partsOf(version: string): string[] {
  return version.toLowerCase().match(/\d+|[a-z]+/g) ?? [];
}

function compareParts(one: string, other: string): number {
  const numbers = [one, other].map((part) => /^\d/.test(part));
  if (numbers[0] && numbers[1]) return compareNumbers(one, other);
  // A number goes on where a word, or the end, does not.
  if (numbers[0]) return other === '' && /^0+$/.test(one) ? 0 : 1;
  if (numbers[1]) return one === '' && /^0+$/.test(other) ? 0 : -1;
  const difference = rank(one) - rank(other);
  return difference !== 0 || one === other ? difference : one < other ? -1 : 1;
}

/** Of any length: build numbers made of dates do not fit a number. */
function compareNumbers(one: string, other: string): number {
  const [a, b] = [one.replace(/^0+/, ''), other.replace(/^0+/, '')];
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

function rank(word: string): number {
  const after = AFTER.indexOf(word);
  if (after >= 0) return after;
  const before = BEFORE.indexOf(word);
  return before >= 0 ? before - BEFORE.length - 1 : -BEFORE.length - 2;
}
