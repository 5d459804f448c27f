/** Health, version and metrics. */
import { AppError } from '../core/errors.ts';
import type { Reply } from '../core/protocol.ts';
import type { Database } from '../db/database.ts';
import { databaseTime } from '../db/database.ts';
import type { Metrics } from '../http/metrics.ts';
import { COMPATIBLE_REVISION, COMPATIBLE_VERSION, PRODUCT } from '../lib/product.ts';
import { READ, type Route, route, typed } from './route.ts';

export interface SystemDeps {
  readonly database: Database;
  readonly metrics: Metrics;
  isDraining(): boolean;
  sweepNow(): Promise<void>;
}

const PINGS = ['artifactory/api/system/ping', 'artifactory/api/v1/system/ping'];
const SERVICE_PINGS = ['router/api/v1/system/ping', 'access/api/v1/system/ping'];

export function systemRoutes(deps: SystemDeps): readonly Route[] {
  const metrics = async (): Promise<Reply> => ({ status: 200, text: await deps.metrics.render() });
  return [
    ...[...PINGS, ...SERVICE_PINGS].map((pattern) =>
      route({ methods: READ, pattern, right: 'none', handle: async () => ({ status: 200, text: 'OK' }) }),
    ),
    route({
      methods: READ,
      pattern: 'artifactory/api/v1/system/liveness',
      right: 'none',
      handle: async () => ({ status: 200, json: { code: 'OK' } }),
    }),
    route({
      methods: READ,
      pattern: 'artifactory/api/v1/system/readiness',
      right: 'none',
      handle: () => readiness(deps),
    }),
    route({ methods: READ, pattern: 'artifactory/api/system/version', right: 'none', handle: version }),
    route({
      methods: READ,
      pattern: 'access/api/v1/system/version',
      right: 'none',
      handle: async () => ({ status: 200, json: { version: COMPATIBLE_VERSION } }),
    }),
    route({ methods: READ, pattern: 'artifactory/api/v1/metrics', right: 'admin', handle: metrics }),
    route({ methods: READ, pattern: 'metrics', right: 'admin', handle: metrics }),
    route({
      methods: ['POST'],
      pattern: 'artifactory/api/system/storage/gc',
      right: 'admin',
      async handle() {
        await deps.sweepNow();
        return { status: 200, text: 'A sweep was started.' };
      },
    }),
  ];
}

/** Ready means that requests would succeed: the database answers and the server is not about to stop. */
async function readiness(deps: SystemDeps): Promise<Reply> {
  if (deps.isDraining()) throw new AppError('unavailable', 'The server is stopping.');
  await deps.database.read(databaseTime);
  return { status: 200, json: { code: 'OK' } };
}

async function version(): Promise<Reply> {
  return typed('system.Version', {
    version: COMPATIBLE_VERSION,
    revision: COMPATIBLE_REVISION,
    addons: ['build', 'docker', 'filtered-resources', 'layouts', 'properties', 'rest', 'search'],
    license: PRODUCT.name,
    product: PRODUCT.name,
    productVersion: PRODUCT.version,
  });
}
