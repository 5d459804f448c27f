/**
 * What a repository takes and gives by its own settings, whoever asks: its path patterns, whether it is blacked out,
 * whether it takes releases and snapshots, and whether it may be written to at all.
 */

import { type AntPattern, compileAntPattern } from '../core/ant-pattern.ts';
import { AppError } from '../core/errors.ts';
import { clip, type RepoKey, type RepoPath } from '../core/ids.ts';
import { type Layout, parseLayoutPath } from '../core/layouts.ts';
import type { Action } from '../core/principal.ts';
import type { PathRule } from '../core/read-rule.ts';
import { traceStep } from '../lib/trace.ts';
import { AccessWithin } from './access.ts';
import type { Access } from './leaf.ts';
import type { ReadOnly } from './read-only.ts';
import { textOf } from './settings.ts';

export type Limits = (access: Access) => Access;

const EVERYTHING = new Set(['**', '**/*']);

/** Takes comma-separated path patterns, refuses what cannot be one as `invalid`. */
export function parsePatterns(text: string): readonly AntPattern[] {
  return text
    .split(',')
    .map((pattern) => pattern.trim())
    .filter((pattern) => pattern !== '')
    .map((pattern) => compileAntPattern(pattern));
}

/** The same limits as data, for reading: the rule of paths where there is one, and whether any file is given. */
export function readLimitsOf(settings: Readonly<Record<string, unknown>>): {
  readonly rule: PathRule | undefined;
  readonly files: boolean;
} {
  const includes = parsePatterns(textOf(settings['includesPattern']));
  const excludes = parsePatterns(textOf(settings['excludesPattern'])).map(({ text }) => text);
  const takesAll = includes.length === 0 || includes.some(({ text }) => EVERYTHING.has(text));
  return {
    rule:
      takesAll && excludes.length === 0
        ? undefined
        : { includes: takesAll ? ['**'] : includes.map(({ text }) => text), excludes },
    files: settings['blackedOut'] !== true,
  };
}

/** The limits that the settings set; undefined when there are none. Removing and describing stay possible. */
export function limitsOf(
  key: RepoKey,
  settings: Readonly<Record<string, unknown>>,
  layout?: Layout,
): Limits | undefined {
  const includes = parsePatterns(textOf(settings['includesPattern']));
  const excludes = parsePatterns(textOf(settings['excludesPattern']));
  const blackedOut = settings['blackedOut'] === true;
  const takesAll = includes.length === 0 || includes.some(({ text }) => EVERYTHING.has(text));
  const handles = handlingOf(settings, layout);
  if (takesAll && excludes.length === 0 && !blackedOut && !handles) return undefined;

  const rules: Rules = { key, includes, excludes, takesAll, blackedOut, handles };
  return (access) => new Limited(access, rules);
}

/** What the settings say, read once. */
interface Rules {
  readonly key: RepoKey;
  readonly includes: readonly AntPattern[];
  readonly excludes: readonly AntPattern[];
  readonly takesAll: boolean;
  readonly blackedOut: boolean;
  readonly handles: ((path: RepoPath) => boolean) | undefined;
}

class Limited extends AccessWithin {
  readonly #rules: Rules;

  constructor(inner: Access, rules: Rules) {
    super(inner);
    this.#rules = rules;
  }

  override get mayWrite(): boolean {
    return !this.#rules.blackedOut && this.inner.mayWrite;
  }

  override get readsAll(): boolean {
    const { takesAll, excludes, blackedOut } = this.#rules;
    return takesAll && excludes.length === 0 && !blackedOut && this.inner.readsAll;
  }

  override allows(action: Action, path: RepoPath): boolean {
    const limited = action === 'read' || action === 'deploy';
    return (!limited || (!this.#rules.blackedOut && this.#accepts(path))) && this.inner.allows(action, path);
  }

  override require(action: Action, path: RepoPath): void {
    this.inner.require(action, path);
    if (action !== 'read' && action !== 'deploy') return;
    const { key, blackedOut, handles } = this.#rules;
    if (blackedOut) {
      throw new AppError(
        'not_found',
        `The repository '${key}' is blacked out and cannot serve artifact '${key}:${clip(path, 300)}'.`,
      );
    }
    if (!this.#accepts(path)) {
      traceStep(`The ${this.#rejecting(path)} of the repository "${key}" refuses the path.`, 'caller');
      throw new AppError(
        action === 'read' ? 'not_found' : 'conflict',
        `The repository '${key}' rejected the artifact '${key}:${clip(path, 300)}' due to its include/exclude pattern settings.`,
      );
    }
    if (action === 'deploy' && handles && !handles(path)) {
      throw new AppError(
        'conflict',
        `The repository '${key}' rejected the resolution of an artifact '${key}:${clip(path, 300)}' due to conflict in the snapshot release handling policy.`,
      );
    }
  }

  override mayList(folder: RepoPath): boolean {
    const { takesAll, includes, excludes } = this.#rules;
    return (
      (takesAll || includes.some((pattern) => pattern.mayMatchBelow(folder))) &&
      !excludes.some((pattern) => pattern.coversBelow(folder)) &&
      this.inner.mayList(folder)
    );
  }

  #accepts(path: RepoPath): boolean {
    const { takesAll, includes, excludes } = this.#rules;
    return (
      (takesAll || includes.some((pattern) => pattern.matches(path))) &&
      !excludes.some((pattern) => pattern.matches(path))
    );
  }

  #rejecting(path: RepoPath): string {
    const excluded = this.#rules.excludes.find((pattern) => pattern.matches(path));
    return excluded ? `exclude pattern "${excluded.text}"` : 'list of include patterns';
  }
}

/** Whether a path's revision is of a kind that is taken; undefined where all are. Other paths are of no kind. */
function handlingOf(
  settings: Readonly<Record<string, unknown>>,
  layout: Layout | undefined,
): ((path: RepoPath) => boolean) | undefined {
  const [releases, snapshots] = [settings['handleReleases'] !== false, settings['handleSnapshots'] !== false];
  if (!layout || (releases && snapshots)) return undefined;
  return (path) => {
    const said = parseLayoutPath(layout, path);
    return said === undefined || (said.integration ? snapshots : releases);
  };
}

/** Refuses every write while the read-only switch is on, in the moment of the write. */
export function writesOf(readOnly: ReadOnly, key: RepoKey): Limits {
  return (access) => new Writing(access, readOnly, key);
}

class Writing extends AccessWithin {
  readonly #readOnly: ReadOnly;
  readonly #key: RepoKey;

  constructor(inner: Access, readOnly: ReadOnly, key: RepoKey) {
    super(inner);
    this.#readOnly = readOnly;
    this.#key = key;
  }

  // What one may do at other times stays as it is: the refusal is to say why, not to look like a lack of rights.
  override require(action: Action, path: RepoPath): void {
    this.inner.require(action, path);
    if (action !== 'read') this.#readOnly.requireWritable(this.#key);
  }
}
