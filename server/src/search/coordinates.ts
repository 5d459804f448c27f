/** Searches by what paths say in the layout of their repository: organisation, module, revision, classifier. */
import { type Layout, type LayoutPath, parseLayoutPath } from '../core/layouts.ts';
import type { SearchableRepository } from '../core/read-rule.ts';
import type { Criterion } from '../db/search/criteria.ts';
import { matches } from '../db/search/predicate.ts';

/** Patterns with `*` and `?`; what is undefined may be anything. */
export interface Coordinates {
  readonly org: string | undefined;
  readonly module: string | undefined;
  readonly version: string | undefined;
  readonly classifier: string | undefined;
}

/** A condition that is true for every file with these coordinates, and for few others. */
export function roughly(wanted: Coordinates, repositories: Iterable<SearchableRepository>): Criterion {
  const byLayout = Map.groupBy(repositories, ({ layout }) => layout);
  const of: Criterion[] = [];
  for (const [layout, same] of byLayout) {
    if (!layout) continue;
    const place = placeOf(layout, wanted);
    const inRepositories = { kind: 'any', of: same.map(({ key }) => field('repo', 'eq', key)) } as const;
    of.push({
      kind: 'all',
      of: [inRepositories, field('path', 'match', place.path), field('name', 'match', place.name)],
    });
  }
  // Without a layout nothing has coordinates.
  return of.length > 0 ? { kind: 'any', of } : field('name', 'eq', '');
}

function field(name: string, op: 'eq' | 'match', value: string): Criterion {
  return { kind: 'field', links: [], field: name, op, value };
}

/** The layout's pattern with what is known in the places of its tokens, and `*` for everything else. */
function placeOf({ artifactPathPattern }: Layout, { org, module, version }: Coordinates) {
  const known: Readonly<Record<string, string | undefined>> = {
    orgPath: org?.replaceAll('.', '/'),
    org,
    module,
    baseRev: version?.replace(/-SNAPSHOT$|-\d{8}\.\d{6}-\d+$/, ''),
  };
  const text = artifactPathPattern
    .replace(/\([^()]*\)/g, '*')
    .replace(/\[([A-Za-z]+)(?:<[^>]*>)?\]/g, (_token, name: string) => known[name] ?? '*')
    .replace(/\*+/g, '*');
  const slash = text.lastIndexOf('/');
  return { path: slash < 0 ? '.' : text.slice(0, slash), name: text.slice(slash + 1) };
}

export interface Coordinated {
  readonly parts: LayoutPath;
  /** As clients write it: the base revision with what marks an integration. */
  readonly version: string;
}

/** What the path says, if it has the coordinates. */
export function coordinatesAt(layout: Layout | undefined, path: string, wanted: Coordinates): Coordinated | undefined {
  const parts = layout && parseLayoutPath(layout, path);
  if (!parts) return undefined;
  const version = versionOf(parts);
  const fits =
    isLike(parts.org, wanted.org) &&
    isLike(parts.module, wanted.module) &&
    (isLike(version, wanted.version) || isLike(folderVersionOf(parts), wanted.version)) &&
    isLike(parts.classifier, wanted.classifier);
  return fits ? { parts, version } : undefined;
}

function isLike(actual: string | undefined, pattern: string | undefined): boolean {
  return pattern === undefined || (actual !== undefined && matches(pattern, actual));
}

function versionOf({ baseRev = '', fileItegRev, folderItegRev }: LayoutPath): string {
  const integration = fileItegRev ?? folderItegRev;
  return integration === undefined ? baseRev : `${baseRev}-${integration}`;
}

function folderVersionOf({ baseRev = '', folderItegRev }: LayoutPath): string {
  return folderItegRev === undefined ? baseRev : `${baseRev}-${folderItegRev}`;
}
