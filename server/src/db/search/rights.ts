/** What the caller may read, as a condition on rows: exactly what the compiled patterns decide. */
import { parseAntSegments } from '../../core/ant-pattern.ts';
import { isEverything, type PathRule, type ReadRule, type SearchableRepository } from '../../core/read-rule.ts';
import type { SearchScope } from './criteria.ts';
import { all, any, type DialectName, FALSE, type Fragment, not, raw, TRUE, wrap } from './fragment.ts';

/** The item with this alias lies in one of the repositories, at a path that may be read. */
export function readableItem(
  alias: string,
  repositories: readonly SearchableRepository[],
  dialect: DialectName,
  options: { readonly asFile?: boolean } = {},
): Fragment {
  if (repositories.length === 0) return FALSE;
  const folder = options.asFile ? '0' : `${alias}.folder`;
  const partial = repositories.filter(({ rule }) => !isEverything(rule));
  const inside = among(
    `${alias}.repo_id`,
    repositories.map(({ id }) => id),
  );
  if (partial.length === 0) return inside;
  if (dialect === 'sqlite') {
    // The function decides in JavaScript, with the very patterns: see the reader of SQLite.
    const decided = raw(`may_read(${alias}.repo_id, ${alias}.parent, ${alias}.name, ${folder})`);
    const whole =
      partial.length === repositories.length
        ? []
        : [
            not(
              among(
                `${alias}.repo_id`,
                partial.map(({ id }) => id),
              ),
            ),
          ];
    return all([inside, any([...whole, decided])]);
  }
  const rules = Map.groupBy(repositories, ({ rule }) => JSON.stringify(rule));
  return all([
    inside,
    any(
      [...rules.values()].map((same) =>
        all([
          among(
            `${alias}.repo_id`,
            same.map(({ id }) => id),
          ),
          ruleAsRegex(alias, folder, (same[0] as SearchableRepository).rule),
        ]),
      ),
    ),
  ]);
}

/** The build with this alias may be read, since the file that is its document may. */
export function readableBuild(alias: string, node: string, scope: SearchScope, dialect: DialectName): Fragment {
  const document = readableItem(node, scope.readable, dialect, { asFile: true });
  return wrap(`exists (select 1 from node ${node} where ${node}.id = ${alias}.node_id and `, document, ')');
}

/** The ids are numbers of our own, so they stand in the text. */
export function among(column: string, ids: readonly number[]): Fragment {
  if (ids.length === 0) return FALSE;
  return raw(ids.length === 1 ? `${column} = ${ids[0]}` : `${column} in (${ids.join(', ')})`);
}

function ruleAsRegex(alias: string, folderColumn: string, rule: ReadRule): Fragment {
  // The same segments as the patterns see: the root is no segment at all.
  const path = `(case when ${alias}.parent <> '' then '/' || ${alias}.parent || '/' || ${alias}.name when ${alias}.name = '.' then '' else '/' || ${alias}.name end)`;
  const decide = (folder: boolean) =>
    all(rule.layers.map((layer) => any(layer.map((each) => ruleTakes(path, each, folder)))));
  const file = rule.files ? decide(false) : FALSE;
  return any([all([raw(`${folderColumn} = 1`), decide(true)]), all([raw(`${folderColumn} = 0`), file])]);
}

function ruleTakes(path: string, { includes, excludes, hides = [] }: PathRule, folder: boolean): Fragment {
  const test = (expression: string | undefined) =>
    expression === undefined ? FALSE : expression === ANYTHING ? TRUE : raw(`${path} ~ ?`, `^(?:${expression})$`);
  return all([
    ...hides.map((hidden) =>
      hidden === '' ? raw(`${path} = ''`) : not(raw(`starts_with(${path} || '/', ?)`, `/${hidden}/`)),
    ),
    any(includes.map((text) => test(folder ? aboveRegex(parseAntSegments(text)) : wholeRegex(parseAntSegments(text))))),
    not(
      any(
        excludes.map((text) => test(folder ? belowRegex(parseAntSegments(text)) : wholeRegex(parseAntSegments(text)))),
      ),
    ),
  ]);
}

const ANYTHING = '(?:/[^/]+)*';

/** Matches `/a/b` for the path `a/b` and '' for the root. */
export function wholeRegex(segments: readonly string[]): string {
  return segments.map((segment) => (segment === '**' ? ANYTHING : `/${segmentRegex(segment)}`)).join('');
}

/** Matches a folder that the pattern could match, or something below it. */
export function aboveRegex(segments: readonly string[]): string {
  const [first, ...rest] = segments;
  if (first === undefined) return '';
  if (first === '**') return ANYTHING;
  return `(?:/${segmentRegex(first)}${aboveRegex(rest)})?`;
}

/** Matches a folder that the pattern matches with all below it; undefined when there can be none. */
export function belowRegex(segments: readonly string[]): string | undefined {
  return segments.at(-1) === '**' ? wholeRegex(segments) : undefined;
}

function segmentRegex(segment: string): string {
  return segment
    .replace(/[.+^${}()|[\]\\\-#&~]/g, '\\$&')
    .replace(/\*+/g, '[^/]*')
    .replaceAll('?', '[^/]');
}
