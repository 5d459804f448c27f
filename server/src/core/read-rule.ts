/** What somebody may read in a repository, as data: for places that decide it for many rows at once. */
import { type AntPattern, compileAntPattern } from './ant-pattern.ts';
import type { RepoKey, RepoPath } from './ids.ts';
import type { Layout } from './layouts.ts';

/** Takes paths that match one of `includes` and none of `excludes`. */
export interface PathRule {
  readonly includes: readonly string[];
  readonly excludes: readonly string[];
  /** Paths taken as they are, with all below them, that are hidden besides; '' hides everything but the root itself. */
  readonly hides?: readonly string[];
}

/** A path may be read when each of the layers has a rule that takes it; no layer at all means every path. */
export interface ReadRule {
  readonly layers: readonly (readonly PathRule[])[];
  /** False where folders may be seen but no file be read. */
  readonly files: boolean;
}

/** A repository that holds files, as one caller may search it. */
export interface SearchableRepository {
  readonly id: number;
  readonly key: RepoKey;
  readonly packageType: string;
  /** How its paths read. */
  readonly layout: Layout | undefined;
  readonly rule: ReadRule;
}

export function isEverything(rule: ReadRule): boolean {
  return rule.files && rule.layers.length === 0;
}

/** The rule as a function: whether a file may be read, or a folder be seen because it or something below it may be. */
export function compileReadRule(rule: ReadRule): (path: RepoPath, folder: boolean) => boolean {
  const layers = rule.layers.map((layer) =>
    layer.map(({ includes, excludes, hides = [] }) => ({
      hides,
      includes: includes.map((pattern) => compileAntPattern(pattern)),
      excludes: excludes.map((pattern) => compileAntPattern(pattern)),
    })),
  );
  return (path, folder) =>
    (folder || rule.files) && layers.every((layer) => layer.some((each) => takes(each, path, folder)));
}

function takes(
  rule: {
    readonly includes: readonly AntPattern[];
    readonly excludes: readonly AntPattern[];
    readonly hides: readonly string[];
  },
  path: string,
  folder: boolean,
): boolean {
  if (rule.hides.some((hidden) => `${path}/`.startsWith(hidden === '' ? '' : `${hidden}/`) && path !== ''))
    return false;
  if (!folder) {
    return rule.includes.some((one) => one.matches(path)) && !rule.excludes.some((one) => one.matches(path));
  }
  return rule.includes.some((one) => one.mayMatchBelow(path)) && !rule.excludes.some((one) => one.coversBelow(path));
}
