/** The Artifactory query language over HTTP. */
import { readAll } from '../core/bodies.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import { answerAql } from '../search/aql/query.ts';
import type { Searches } from '../search/searches.ts';
import { type ApiRequest, isSwitchedOn, type Route, route } from './route.ts';

export interface SearchDeps {
  readonly searches: Searches;
}

const MAX_QUERY_BYTES = 2 * 1024 * 1024;

export function aqlRoutes({ searches }: SearchDeps): readonly Route[] {
  return [
    route({
      methods: ['POST'],
      pattern: 'artifactory/api/search/aql',
      right: 'reader',
      handle: (request) => answer(searches, request),
    }),
  ];
}

async function answer(searches: Searches, request: ApiRequest): Promise<Reply> {
  const { caller, query, exchange } = request;
  if (!caller.authenticated) {
    throw new AppError('forbidden', 'Only non-anonymous users are allowed to access AQL queries');
  }
  const text = query.get('query') ?? (await readQuery(request));
  if (text.trim() === '') throw new AppError('invalid', 'Bad Request');
  const compact = isSwitchedOn(query.get('compact'));
  const pieces = await answerAql(searches, text, { principal: caller.principal, signal: exchange.signal, compact });
  return { status: 200, pieces, headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' } };
}

async function readQuery({ exchange }: ApiRequest): Promise<string> {
  const { headers } = exchange.request;
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw unreadable(`A query in the encoding "${clip(encoding)}" is not read. Send it as plain text.`);
  }
  const charset = /charset\s*=\s*"?([^\s;"]+)/i.exec(headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && !/^(utf-?8|us-ascii|iso-8859-1)$/i.test(charset)) {
    throw unreadable(`A query in the character set "${clip(charset)}" is not read. Send it as UTF-8.`);
  }
  const bytes = await readAll(exchange.body(), { limit: MAX_QUERY_BYTES, what: 'query' }).catch((error: unknown) => {
    if (!(error instanceof AppError) || error.code !== 'too_large') throw error;
    throw new AppError('invalid', `Failed to parse query: it is longer than ${MAX_QUERY_BYTES} bytes.`);
  });
  if (/^(\xff\xfe|\xfe\xff)/.test(bytes.toString('latin1', 0, 2))) {
    throw unreadable('A query in UTF-16 is not read. Send it as UTF-8.');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new AppError('invalid', 'Failed to parse query: it is not UTF-8 text.');
  }
}

function unreadable(message: string): AppError {
  return new AppError('invalid', message, { status: 415 });
}
