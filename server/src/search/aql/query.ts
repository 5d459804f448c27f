/** A query in AQL as a search, and its answer as text. */

import { TRASH_KEY } from '../../core/system-repositories.ts';
import type { Criterion } from '../../db/search/criteria.ts';
import type { CallerScope } from '../scope.ts';
import type { Caller, Searches, SearchRequest } from '../searches.ts';
import { type AqlQuery, parseAql } from './parse.ts';
import { type ResultShape, resultShape } from './result-shape.ts';

/** No answer has more rows; one that would says so. */
const MAX_ROWS = 10_000_000;

/** The answer to the query, piece by piece. What is wrong with the query is thrown before the first piece. */
export async function answerAql(
  searches: Searches,
  text: string,
  caller: Caller & { readonly compact: boolean },
): Promise<AsyncGenerator<string>> {
  const query = parseAql(text, Date.now());
  const shape = resultShape(query);
  const scope = searches.scope(caller.principal, {
    withTrash: query.repositories.includes(TRASH_KEY),
  });
  const request = searchOf(query, shape, scope);
  const rows = await searches.find(request, scope, caller);
  const render = (row: unknown) => (caller.compact ? JSON.stringify(row) : JSON.stringify(row, null, 2));
  return pieces(rows, { render, offset: query.offset, limit: query.limit });
}

/** The search that the query asks for, as the caller of the scope sees it. */
export function searchOf(query: AqlQuery, shape: ResultShape, scope: Pick<CallerScope, 'isVirtual'>): SearchRequest {
  if (query.transitive && query.domain.name !== 'item') throw query.failure('only items can be searched transitively');
  const where: Criterion =
    query.domain.name === 'item' && !query.asksForType
      ? { kind: 'all', of: [query.where, { kind: 'field', links: [], field: 'type', op: 'eq', value: 'file' }] }
      : query.where;
  const virtual =
    query.domain.name === 'item' &&
    query.include === undefined &&
    query.repositories.some((key) => scope.isVirtual(key));
  const wanted = query.limit === undefined ? MAX_ROWS + 1 : Math.min(query.limit, MAX_ROWS + 1);
  return {
    domain: query.domain.name,
    where,
    fields: virtual ? [...shape.fields, 'virtual_repos'] : shape.fields,
    includes: shape.includes,
    sort: shape.sort,
    limit: wanted > MAX_ROWS && query.limit === undefined ? undefined : wanted,
    offset: query.offset,
  };
}

async function* pieces(
  rows: AsyncIterable<unknown>,
  page: { render(row: unknown): string; readonly offset: number; readonly limit: number | undefined },
): AsyncGenerator<string> {
  yield '\n{\n"results" : [ ';
  let count = 0;
  let capped = false;
  for await (const row of rows) {
    if (count === MAX_ROWS) {
      capped = true;
      break;
    }
    yield `${count === 0 ? '' : ','}${page.render(row)}`;
    count += 1;
  }
  const range = {
    start_pos: page.offset,
    end_pos: count,
    total: count,
    ...(page.limit !== undefined && { limit: page.limit }),
    ...(capped && {
      notification: `AQL query reached the search hard limit, results are trimmed to ${MAX_ROWS} rows.`,
    }),
  };
  yield ` ],\n"range" : ${JSON.stringify(range)}\n}\n`;
}
