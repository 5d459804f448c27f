/** Versions as PEP 440 reads and orders them. */

/** A version taken apart, all numbers as they compare. */
export interface ParsedVersion {
  readonly epoch: bigint;
  readonly release: readonly bigint[];
  readonly pre: readonly ['a' | 'b' | 'rc', bigint] | undefined;
  readonly post: bigint | undefined;
  readonly dev: bigint | undefined;
  readonly local: readonly (string | bigint)[] | undefined;
}

const MAX_LENGTH = 128;
const SYNTAX =
  /^v?(?:(?<epoch>\d+)!)?(?<release>\d+(?:\.\d+)*)(?:[-_.]?(?<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?<preNumber>\d*))?(?:-(?<postOnly>\d+)|[-_.]?(?<post>post|rev|r)[-_.]?(?<postNumber>\d*))?(?:[-_.]?(?<dev>dev)[-_.]?(?<devNumber>\d*))?(?:\+(?<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$/;
const PRE: Readonly<Record<string, 'a' | 'b' | 'rc'>> = {
  alpha: 'a',
  a: 'a',
  beta: 'b',
  b: 'b',
  preview: 'rc',
  pre: 'rc',
  c: 'rc',
  rc: 'rc',
};

/** Undefined for what is no version. */
export function parseVersion(text: string): ParsedVersion | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const groups = SYNTAX.exec(text.trim().toLowerCase())?.groups;
  if (!groups) return undefined;
  const number = (digits: string | undefined) => BigInt(digits || '0');
  const { epoch, release, pre, preNumber, postOnly, post, postNumber, dev, devNumber, local } = groups;
  const hasPost = postOnly !== undefined || post !== undefined;
  return {
    epoch: number(epoch),
    release: (release ?? '').split('.').map(number),
    pre: pre === undefined ? undefined : [PRE[pre] ?? 'rc', number(preNumber)],
    post: hasPost ? number(postOnly ?? postNumber) : undefined,
    dev: dev === undefined ? undefined : number(devNumber),
    local: local?.split(/[-_.]/).map((part) => (/^\d+$/.test(part) ? BigInt(part) : part)),
  };
}

/** The one way to write the version, in which zeros at the end of the release stay. */
export function renderVersion({ epoch, release, pre, post, dev, local }: ParsedVersion): string {
  return [
    epoch > 0n ? `${epoch}!` : '',
    release.join('.'),
    pre ? pre.join('') : '',
    post === undefined ? '' : `.post${post}`,
    dev === undefined ? '' : `.dev${dev}`,
    local ? `+${local.join('.')}` : '',
  ].join('');
}

/** The normal form; undefined for what is no version. */
export function normalizeVersion(text: string): string | undefined {
  const parsed = parseVersion(text);
  return parsed && renderVersion(parsed);
}

/** Whether both are the same release: `1.0` and `1.0.0` are. */
export function isSameVersion(one: string, other: string): boolean {
  const [a, b] = [parseVersion(one), parseVersion(other)];
  return a !== undefined && b !== undefined && compareParsed(a, b) === 0;
}

/** Each of them once, the oldest first; texts that are no versions come before all that are. */
export function sortVersions(texts: readonly string[]): string[] {
  return [...new Set(texts)]
    .map(rankOf)
    .sort(compareRanks)
    .map(({ text }) => text);
}

/** A version with what it is compared by. */
export interface VersionRank {
  readonly text: string;
  readonly parsed: ParsedVersion | undefined;
}

export function rankOf(text: string): VersionRank {
  return { text, parsed: parseVersion(text) };
}

/** By age; different texts never compare as equal. */
export function compareRanks(a: VersionRank, b: VersionRank): number {
  if (a.parsed && b.parsed) return compareParsed(a.parsed, b.parsed) || compare(a.text, b.text);
  if (a.parsed || b.parsed) return a.parsed ? 1 : -1;
  return compare(a.text, b.text);
}

export function isPrerelease({ pre, dev }: ParsedVersion): boolean {
  return pre !== undefined || dev !== undefined;
}

/** Below zero when the first is older. */
export function compareParsed(a: ParsedVersion, b: ParsedVersion): number {
  return (
    compare(a.epoch, b.epoch) ||
    compareLists(trimmed(a.release), trimmed(b.release)) ||
    compareLists(preKey(a), preKey(b)) ||
    compare(a.post ?? -1n, b.post ?? -1n) ||
    compareDev(a.dev, b.dev) ||
    compareLocal(a.local, b.local)
  );
}

function trimmed(release: readonly bigint[]): readonly bigint[] {
  const last = release.findLastIndex((part) => part !== 0n);
  return release.slice(0, last + 1);
}

/** A development release of no other kind comes before the alphas, what is no pre-release after the candidates. */
function preKey({ pre, post, dev }: ParsedVersion): readonly bigint[] {
  if (!pre) return [post === undefined && dev !== undefined ? -1n : 3n];
  return [BigInt(['a', 'b', 'rc'].indexOf(pre[0])), pre[1]];
}

function compareDev(a: bigint | undefined, b: bigint | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  return compare(a, b);
}

function compareLocal(a: ParsedVersion['local'], b: ParsedVersion['local']): number {
  if (!a || !b) return Number(a !== undefined) - Number(b !== undefined);
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const [one, other] = [a[i] ?? '', b[i] ?? ''];
    // Numbers come after words.
    if (typeof one !== typeof other) return typeof one === 'bigint' ? 1 : -1;
    const order = compare(one, other);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareLists(a: readonly bigint[], b: readonly bigint[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = compare(a[i] ?? 0n, b[i] ?? 0n);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compare<T extends bigint | string>(a: T, b: T): number {
  return a < b ? -1 : Number(a > b);
}
