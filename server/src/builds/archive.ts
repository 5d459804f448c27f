/** The files of a build as they go into one archive, under names that the client chose. */
import { matchWhole, parseExpression } from '../core/bounded-expression.ts';
import { AppError } from '../core/errors.ts';
import { clip, parseRepoPath } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import type { Asset } from '../core/repository.ts';
import type { FoundFile } from './artifacts.ts';
import { type BuildDeps, otherRequests } from './builds.ts';

/** Takes files whose `repository/path` matches the input, and names them by the output, where `$1` is the first group. */
export interface Mapping {
  readonly input: string;
  readonly output?: string | undefined;
}

type Naming = (place: string) => string | undefined;

/** What files are called by the first mapping they match; `invalid` for expressions that are none or could be slow. */
export function parseMappings(mappings: readonly Mapping[]): Naming {
  if (mappings.length === 0) return (place) => place;
  const parsed = mappings.map(({ input, output }) => ({
    matcher: parseExpression(input, { numbered: true }),
    output: output || undefined,
  }));
  return (place) => {
    for (const { matcher, output } of parsed) {
      const groups = matchWhole(matcher, place);
      if (!groups) continue;
      return (
        output?.replace(/\$(\d)/g, (_, group: string) => (group === '0' ? place : (groups.get(group) ?? ''))) ?? place
      );
    }
    return undefined;
  };
}

/** Gives each file its name; `invalid` where that could not be unpacked, or two files would have the same. */
export function nameFiles(files: readonly FoundFile[], naming: Naming): ReadonlyMap<string, FoundFile> {
  const named = new Map<string, FoundFile>();
  for (const file of files) {
    const name = naming(`${file.repo}/${file.path}`);
    if (name === undefined) continue;
    const path = parseRepoPath(name.replace(/^\/+/, ''));
    if (path === '' || named.has(path)) {
      throw new AppError(
        'invalid',
        `The mappings give more than one file the name "${clip(name, 300)}", or a file none. Keep more of its path.`,
      );
    }
    named.set(path, file);
  }
  return named;
}

/** The files themselves; what has gone since it was found is left out. */
export async function openFiles(
  { repositories }: BuildDeps,
  principal: Principal,
  named: ReadonlyMap<string, FoundFile>,
): Promise<ReadonlyMap<string, Asset>> {
  const files = new Map<string, Asset>();
  for (const [name, { repo, path }] of named) {
    const asset = await repositories.get(repo, principal)?.get(path);
    if (asset) files.set(name, asset);
    await otherRequests();
  }
  return files;
}
