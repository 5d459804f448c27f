/** Where a file comes to lie in a repository whose paths read in another way. */
import { isAppError } from '../core/errors.ts';
import { parseRepoPath, type RepoPath } from '../core/ids.ts';
import { type Layout, parseLayoutPath, renderLayoutPath } from '../core/layouts.ts';

/** From whose paths to whose. */
export interface Translation {
  readonly from: Layout;
  readonly to: Layout;
}

/** The translation between two repositories; undefined where there is nothing to translate. */
export function translationOf(from: Layout | undefined, to: Layout | undefined): Translation | undefined {
  return from && to && from.name !== to.name ? { from, to } : undefined;
}

/** The path of the same artifact in the other layout; the path itself where it reads as no artifact. */
export function translatedPath({ from, to }: Translation, path: RepoPath): RepoPath {
  const tokens = parseLayoutPath(from, path);
  if (!tokens) return path;
  const type = tokens.type ?? tokens.ext;
  const rendered = renderLayoutPath(to, { ...tokens, ...(type !== undefined && { type }) });
  if (rendered === undefined) return path;
  try {
    return parseRepoPath(rendered);
  } catch (error) {
    if (isAppError(error, 'invalid')) return path;
    throw error;
  }
}
