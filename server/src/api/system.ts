/** Health, version and metrics. */
import type { Authenticator } from '../auth/authenticator.ts';
import { AppError } from '../core/errors.ts';
import { nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { Database } from '../db/database.ts';
import { databaseTime } from '../db/database.ts';
import type { Call, Exchange } from '../http/exchange.ts';
import type { Metrics } from '../http/metrics.ts';
import { RouteTable } from '../lib/route-table.ts';

export interface SystemDeps {
  readonly database: Database;
  readonly authenticator: Authenticator;
  readonly metrics: Metrics;
  isDraining(): boolean;
  sweepNow(): Promise<void>;
}

interface SystemRoute {
  readonly methods: readonly string[];
  readonly pattern: string;
  readonly right: 'none' | 'admin';
  handle(deps: SystemDeps): Promise<Reply>;
}

/** The version whose behaviour clients may expect; they compare it with what they need. */
const COMPATIBLE_VERSION = '7.161.15';
const OK: Reply = { status: 200, text: 'OK' };
const READ = ['GET', 'HEAD'];

const ROUTES: readonly SystemRoute[] = [
  { methods: READ, pattern: 'artifactory/api/system/ping', right: 'none', handle: async () => OK },
  { methods: READ, pattern: 'artifactory/api/v1/system/ping', right: 'none', handle: async () => OK },
  { methods: READ, pattern: 'router/api/v1/system/ping', right: 'none', handle: async () => OK },
  {
    methods: READ,
    pattern: 'artifactory/api/v1/system/liveness',
    right: 'none',
    handle: async () => ({ status: 200, json: { code: 'OK' } }),
  },
  { methods: READ, pattern: 'artifactory/api/v1/system/readiness', right: 'none', handle: readiness },
  {
    methods: READ,
    pattern: 'artifactory/api/system/version',
    right: 'none',
    handle: async () => ({
      status: 200,
      json: { version: COMPATIBLE_VERSION, revision: '0', addons: [], product: 'Entrepot', productVersion: '0.1.0' },
    }),
  },
  { methods: READ, pattern: 'artifactory/api/v1/metrics', right: 'admin', handle: metrics },
  { methods: READ, pattern: 'metrics', right: 'admin', handle: metrics },
  {
    methods: ['POST'],
    pattern: 'artifactory/api/system/storage/gc',
    right: 'admin',
    async handle(deps) {
      await deps.sweepNow();
      return { status: 200, text: 'A sweep was started.' };
    },
  },
];

/** Ready means that requests would succeed: the database answers and the server is not about to stop. */
async function readiness(deps: SystemDeps): Promise<Reply> {
  if (deps.isDraining()) throw new AppError('unavailable', 'The server is stopping.');
  await deps.database.read(databaseTime);
  return { status: 200, json: { code: 'OK' } };
}

async function metrics(deps: SystemDeps): Promise<Reply> {
  return { status: 200, text: await deps.metrics.render() };
}

export class SystemApi {
  readonly #deps: SystemDeps;
  readonly #table = new RouteTable(ROUTES);

  constructor(deps: SystemDeps) {
    this.#deps = deps;
  }

  begin(exchange: Exchange): Call | undefined {
    const match = this.#table.match(exchange.request.method ?? '', exchange.target.decoded.join('/'));
    if (!match) return undefined;
    exchange.note.area = 'system';
    return {
      run: async () => {
        if (!('route' in match)) {
          throw new AppError('not_supported', 'Method Not Allowed', { headers: { Allow: match.allow.join(', ') } });
        }
        if (match.route.right === 'admin') await this.#requireAdmin(exchange);
        return match.route.handle(this.#deps);
      },
      fail: (error, status) => ({
        status,
        json: { errors: [{ status, message: error.message }] },
        headers: {
          ...(error.detail['headers'] as Record<string, string> | undefined),
          ...(status === 401 && { 'WWW-Authenticate': 'Basic realm="Artifactory Realm"' }),
        },
      }),
    };
  }

  async #requireAdmin(exchange: Exchange): Promise<void> {
    const { principal, authenticated } = await this.#deps.authenticator.authenticate(
      exchange.request.headers,
      exchange.peer,
    );
    exchange.note.principal = nameOf(principal);
    if (!authenticated) throw new AppError('unauthenticated', 'Authentication is required');
    if (principal.kind !== 'user' || !principal.admin || principal.scope) throw new AppError('forbidden', 'Forbidden');
  }
}
