/**
 * The order of versions as Maven documents it ("Version Order Specification"): which of two is newer, whatever they
 * look like.
 */
import { sortInTurns } from '../../lib/sort-in-turns.ts';
import { Spell } from '../../lib/spell.ts';

/** Qualifiers that come before a release, that mean it, and that follow it; unknown ones come behind, by letters. */
const QUALIFIERS = ['alpha', 'beta', 'milestone', 'rc', 'snapshot', '', 'sp'];
const RELEASE = QUALIFIERS.indexOf('');
const SAME: Readonly<Record<string, string>> = { cr: 'rc', ga: '', final: '', release: '' };
/** What these stand for directly before a number: `1a1` is the first alpha of 1. */
const SHORT: Readonly<Record<string, string>> = { a: 'alpha', b: 'beta', m: 'milestone' };

/** A part with the separator before it. Numbers of any length have no leading zeros: none at all is zero. */
export interface Token {
  readonly separator: '.' | '-';
  readonly number?: string;
  readonly word?: string;
}

/** Below zero when the first version is older; zero when both mean the same. */
export function compareMavenVersions(one: string, other: string): number {
  return compareAll(tokensOf(one), tokensOf(other));
}

function compareAll(first: readonly Token[], second: readonly Token[]): number {
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    const [a, b] = [first[i], second[i]];
    const difference = compareTokens(a ?? nothingBeside(b), b ?? nothingBeside(a));
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A version, read once to be compared often. */
export interface ReadVersion {
  readonly text: string;
  readonly tokens: readonly Token[];
}

export function readMavenVersion(text: string): ReadVersion {
  return { text, tokens: tokensOf(text) };
}

/** As `compareMavenVersions`, where versions that mean the same still need an order. */
export function byReadVersion(one: ReadVersion, other: ReadVersion): number {
  return compareAll(one.tokens, other.tokens) || (one.text < other.text ? -1 : one.text > other.text ? 1 : 0);
}

/** The oldest first; others are let in meanwhile. */
export async function sortByMavenVersion<T>(items: readonly T[], versionOf: (item: T) => string): Promise<T[]> {
  const spell = new Spell();
  const read: { readonly item: T; readonly version: ReadVersion }[] = [];
  for (const item of items) {
    read.push({ item, version: readMavenVersion(versionOf(item)) });
    if (spell.isOver) await spell.rest();
  }
  const sorted = await sortInTurns(read, (one, other) => byReadVersion(one.version, other.version));
  return sorted.map(({ item }) => item);
}

function tokensOf(version: string): Token[] {
  const tokens: Token[] = [];
  let separator: Token['separator'] = '-';
  const pieces = version.toLowerCase().split(/([._-])/);
  for (let i = 0; i < pieces.length; i += 2) {
    const parts = pieces[i]?.match(/\d+|\D+/g) ?? ['0'];
    parts.forEach((part, at) => {
      // Where digits and letters meet there is a hyphen.
      const before = at === 0 ? separator : '-';
      if (/^\d/.test(part)) tokens.push({ separator: before, number: part.replace(/^0+/, '') });
      // Before a qualifier a dot means no more than a hyphen.
      else tokens.push({ separator: '-', word: wordOf(part, at + 1 < parts.length) });
    });
    separator = pieces[i + 1] === '.' ? '.' : '-';
  }
  return trimmed(tokens);
}

function wordOf(word: string, isBeforeNumber: boolean): string {
  const full = isBeforeNumber ? (SHORT[word] ?? word) : word;
  return Object.hasOwn(SAME, full) ? (SAME[full] ?? full) : full;
}

/** Without what means nothing at the end, and before each hyphen. */
function trimmed(tokens: readonly Token[]): Token[] {
  const kept: Token[] = [];
  for (const token of tokens.toReversed()) {
    const behind = kept.at(-1);
    const isLast = behind === undefined || behind.separator === '-';
    if (isLast && isNothing(token) && tokens[0] !== token) continue;
    kept.push(token);
  }
  return kept.reverse();
}

function isNothing({ number, word }: Token): boolean {
  return number === '' || word === '';
}

/** What stands where the other version has one part more. */
function nothingBeside(token: Token | undefined): Token {
  return token?.separator === '.' ? { separator: '.', number: '' } : { separator: '-', word: '' };
}

function compareTokens(one: Token, other: Token): number {
  const ranks = rankOf(one) - rankOf(other);
  if (one.word !== undefined && other.word !== undefined) return compareWords(one.word, other.word);
  if (ranks !== 0) return ranks;
  return compareNumbers(one.number ?? '', other.number ?? '');
}

/** Of tokens of different kinds: any qualifier, a number behind a hyphen, one behind a dot. */
function rankOf({ separator, word }: Token): number {
  if (word !== undefined) return 0;
  return separator === '-' ? 1 : 2;
}

function compareNumbers(one: string, other: string): number {
  return one.length - other.length || (one < other ? -1 : one > other ? 1 : 0);
}

function compareWords(one: string, other: string): number {
  const [a, b] = [QUALIFIERS.indexOf(one), QUALIFIERS.indexOf(other)];
  if (a >= 0 || b >= 0) return (a < 0 ? RELEASE + 2 : a) - (b < 0 ? RELEASE + 2 : b);
  return one < other ? -1 : one > other ? 1 : 0;
}
