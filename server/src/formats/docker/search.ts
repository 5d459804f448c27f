/** What is left of the first registry protocol: `docker search` still asks it. */
import { AppError } from '../../core/errors.ts';
import type { ProtocolRequest, Reply, Route, ServiceContext } from '../../core/protocol.ts';

const DEFAULT_RESULTS = 25;
const MAX_RESULTS = 100;
/** Names looked at for one search, so that a rare word does not cost a walk through everything. */
const MAX_SCANNED = 20_000;
const PAGE = 1000;

export const SEARCH_ROUTES: readonly Route<ServiceContext>[] = [
  { methods: ['GET', 'HEAD'], pattern: '_ping', handle: async () => ({ status: 200, json: {} }) },
  { methods: ['GET', 'HEAD'], pattern: 'search', handle: search },
];

/** Images whose name holds the words, as the caller can pull them from this host. */
async function search(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const query = (request.query.get('q') ?? '').slice(0, 255).toLowerCase();
  const limit = Math.min(Number(request.query.get('n')) || DEFAULT_RESULTS, MAX_RESULTS);
  const repositories = context.bound ? [context.bound] : await context.repositories();
  if (repositories.length === 0 && !context.authenticated) {
    throw new AppError('unauthenticated', 'Authentication is required.');
  }
  const results = [];
  let scanned = 0;
  for (const repo of repositories) {
    const prefix = context.bound ? '' : `${repo.key}/`;
    let after: string | undefined;
    while (results.length < limit && scanned < MAX_SCANNED) {
      const names = await repo.packages({ limit: PAGE, ...(after !== undefined && { after }) });
      for (const name of names)
        if ((prefix + name).includes(query) && results.length < limit) results.push(prefix + name);
      scanned += names.length;
      after = names.at(-1);
      if (names.length < PAGE) break;
    }
  }
  return {
    status: 200,
    json: {
      query,
      num_pages: 1,
      page: 1,
      page_size: limit,
      num_results: results.length,
      results: results.map((name) => ({
        name,
        description: '',
        is_official: false,
        is_automated: false,
        star_count: 0,
      })),
    },
  };
}
