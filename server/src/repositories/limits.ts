/** What a repository takes and gives by its own settings, whoever asks: its path patterns, and whether it is blacked out. */
import { type AntPattern, compileAntPattern } from '../core/ant-pattern.ts';
import { AppError } from '../core/errors.ts';
import { clip, type RepoKey, type RepoPath } from '../core/ids.ts';
import { traceStep } from '../lib/trace.ts';
import type { Access } from './leaf.ts';

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

/** The limits that the settings set; undefined when there are none. Removing and describing stay possible. */
export function limitsOf(key: RepoKey, settings: Readonly<Record<string, unknown>>): Limits | undefined {
  const includes = parsePatterns(textOf(settings['includesPattern']));
  const excludes = parsePatterns(textOf(settings['excludesPattern']));
  const blackedOut = settings['blackedOut'] === true;
  const takesAll = includes.length === 0 || includes.some(({ text }) => EVERYTHING.has(text));
  if (takesAll && excludes.length === 0 && !blackedOut) return undefined;

  const accepts = (path: RepoPath) =>
    (takesAll || includes.some((pattern) => pattern.matches(path))) &&
    !excludes.some((pattern) => pattern.matches(path));
  const rejectedBy = (path: RepoPath) => {
    const excluded = excludes.find((pattern) => pattern.matches(path));
    return excluded ? `exclude pattern "${excluded.text}"` : 'list of include patterns';
  };
  return (access) => ({
    principalName: access.principalName,
    get mayWrite() {
      return !blackedOut && access.mayWrite;
    },
    get readablePrefixes() {
      return access.readablePrefixes;
    },
    allows(action, path) {
      const limited = action === 'read' || action === 'deploy';
      return (!limited || (!blackedOut && accepts(path))) && access.allows(action, path);
    },
    require(action, path) {
      access.require(action, path);
      if (action !== 'read' && action !== 'deploy') return;
      if (blackedOut) {
        throw new AppError(
          'not_found',
          `The repository '${key}' is blacked out and cannot serve artifact '${key}:${clip(path, 300)}'.`,
        );
      }
      if (!accepts(path)) {
        traceStep(`The ${rejectedBy(path)} of the repository "${key}" refuses the path.`, 'caller');
        throw new AppError(
          action === 'read' ? 'not_found' : 'conflict',
          `The repository '${key}' rejected the artifact '${key}:${clip(path, 300)}' due to its include/exclude pattern settings.`,
        );
      }
    },
    mayList: (folder) =>
      (takesAll || includes.some((pattern) => pattern.mayMatchBelow(folder))) &&
      !excludes.some((pattern) => pattern.coversBelow(folder)) &&
      access.mayList(folder),
  });
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
