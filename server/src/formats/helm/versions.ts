/** Versions of charts: semantic ones, and those that the client takes for such. */

export interface ChartVersion {
  readonly numbers: readonly [bigint, bigint, bigint];
  readonly prerelease: readonly string[];
  readonly build: string;
}

const STRICT =
  /^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-z-][0-9a-z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-z-][0-9a-z-]*))*))?(?:\+([0-9a-z-]+(?:\.[0-9a-z-]+)*))?$/i;
const LENIENT =
  /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9a-z-]+(?:\.[0-9a-z-]+)*))?(?:\+([0-9a-z-]+(?:\.[0-9a-z-]+)*))?$/i;
const MAX_LENGTH = 256;

/** As the client reads it: a "v" may come first, and numbers may be missing. Undefined for what is no version. */
export function parseVersion(text: string): ChartVersion | undefined {
  const found = text.length > MAX_LENGTH ? null : LENIENT.exec(text);
  if (!found) return undefined;
  const [, major = '0', minor = '0', patch = '0', prerelease, build = ''] = found;
  return {
    numbers: [BigInt(major), BigInt(minor), BigInt(patch)],
    prerelease: prerelease === undefined ? [] : prerelease.split('.'),
    build,
  };
}

/** Whether it is a version as semver.org has them. */
export function isStrictVersion(text: string): boolean {
  return text.length <= MAX_LENGTH && !/^v/i.test(text) && STRICT.test(text);
}

/** The part of a file's name that begins with a whole version. */
export function isWholeVersion(text: string): boolean {
  return text.length <= MAX_LENGTH && STRICT.test(text);
}

/** By precedence; what differs in the build only, by that, so that the order is always the same. */
export function compareVersions(a: ChartVersion, b: ChartVersion): number {
  for (let i = 0; i < 3; i++) {
    const [x, y] = [a.numbers[i] ?? 0n, b.numbers[i] ?? 0n];
    if (x !== y) return x < y ? -1 : 1;
  }
  return comparePrereleases(a.prerelease, b.prerelease) || compareTexts(a.build, b.build);
}

function comparePrereleases(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return b.length - a.length;
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i], b[i]];
    if (x === undefined || y === undefined) return x === undefined ? -1 : 1;
    const order = compareIdentifiers(x, y);
    if (order !== 0) return order;
  }
  return 0;
}

function compareIdentifiers(x: string, y: string): number {
  const [isXNumber, isYNumber] = [/^\d+$/.test(x), /^\d+$/.test(y)];
  if (isXNumber && isYNumber) {
    const [m, n] = [BigInt(x), BigInt(y)];
    return m === n ? 0 : m < n ? -1 : 1;
  }
  if (isXNumber !== isYNumber) return isXNumber ? -1 : 1;
  return compareTexts(x, y);
}

function compareTexts(x: string, y: string): number {
  return x === y ? 0 : x < y ? -1 : 1;
}
