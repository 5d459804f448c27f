/** The REST API: one table of routes, one place that asks who calls and says what went wrong. */
import type { Authentication, Authenticator } from '../auth/authenticator.ts';
import { AppError } from '../core/errors.ts';
import { ANONYMOUS, isAdmin, nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { Call, Exchange } from '../http/exchange.ts';
import { type RouteMatch, RouteTable } from '../lib/route-table.ts';
import type { ClientCertificates } from '../repositories/certificates.ts';
import { type ArchiveDownloadDeps, archiveDownloadRoutes } from './archive-download.ts';
import { type ArchiveIndexApiDeps, archiveIndexRoutes } from './archive-index.ts';
import { type AuditDeps, auditRoutes } from './audit.ts';
import { type BuildArchiveDeps, buildArchiveRoutes } from './build-archive.ts';
import { type BuildPromotionDeps, buildPromotionRoutes } from './build-promotion.ts';
import { type BuildRemovalDeps, buildRemovalRoutes } from './build-removal.ts';
import { buildRoutes } from './builds.ts';
import { certificateRoutes } from './certificates.ts';
import { type ConfigurationPartsDeps, configurationPartRoutes } from './configuration-parts.ts';
import { type EncryptedPasswordDeps, encryptedPasswordRoutes } from './encrypted-password.ts';
import { type ExplainDeps, explainRoutes } from './explain.ts';
import { type GroupDeps, groupRoutes } from './groups.ts';
import { type KeyPairDeps, keyPairRoutes } from './key-pairs.ts';
import { licenseRoutes } from './license.ts';
import { withDescription } from './openapi.ts';
import { type PackageDeps, packageRoutes } from './packages.ts';
import { type PermissionTargetDeps, permissionTargetRoutes } from './permission-targets.ts';
import { platformRoutes } from './platform.ts';
import { type ReadOnlyApiDeps, readOnlyRoutes } from './read-only.ts';
import { type RelocationDeps, relocationRoutes } from './relocations.ts';
import { type RemoteApiDeps, remoteRoutes } from './remotes.ts';
import { type RepositoryDeps, repositoryRoutes } from './repositories.ts';
import { repositoryBatchRoutes } from './repository-batches.ts';
import { type ResolutionDeps, resolutionRoutes } from './resolution.ts';
import { RIGHTS, type Right, type Route } from './route.ts';
import { aqlRoutes, type SearchDeps } from './search-aql.ts';
import { buildSearchRoutes } from './search-builds.ts';
import { itemSearchRoutes } from './search-items.ts';
import { versionSearchRoutes } from './search-versions.ts';
import { type SetMeUpDeps, setMeUpRoutes } from './set-me-up.ts';
import { type StorageDeps, storageRoutes } from './storage.ts';
import { type StorageSummaryDeps, storageSummaryRoutes } from './storage-summary.ts';
import { type SystemDeps, systemRoutes } from './system.ts';
import { type ConfigurationDeps, configurationRoutes } from './system-configuration.ts';
import { type FactsDeps, factRoutes } from './system-facts.ts';
import { type TaskDeps, taskRoutes } from './tasks.ts';
import { type TokenDeps, tokenRoutes } from './tokens.ts';
import { type TrashDeps, trashRoutes } from './trash.ts';
import { type UploadRouteDeps, uploadRoutes } from './uploads.ts';
import { type UserDeps, userRoutes } from './users.ts';

export type ApiDeps = SystemDeps &
  RepositoryDeps &
  ReadOnlyApiDeps &
  AuditDeps &
  ConfigurationDeps &
  ConfigurationPartsDeps &
  FactsDeps & { readonly certificates: ClientCertificates } & UserDeps &
  GroupDeps &
  PermissionTargetDeps &
  TokenDeps &
  SearchDeps &
  StorageDeps &
  RelocationDeps &
  TrashDeps &
  TaskDeps &
  ExplainDeps &
  ResolutionDeps &
  SetMeUpDeps &
  StorageSummaryDeps &
  BuildRemovalDeps &
  BuildPromotionDeps &
  BuildArchiveDeps &
  EncryptedPasswordDeps &
  UploadRouteDeps &
  ArchiveDownloadDeps &
  ArchiveIndexApiDeps &
  RemoteApiDeps &
  PackageDeps &
  KeyPairDeps & {
    readonly authenticator: Authenticator;
    /** Brought up to date before a request asks for rights. */
    readonly anonymousAccess: boolean;
  };

const NOBODY: Authentication = { principal: ANONYMOUS, authenticated: false };

/** Every address below these belongs to the API, whether there is a route or not. */
const AREAS = [
  ['artifactory', 'api'],
  ['access', 'api'],
  ['jfconnect', 'api'],
];

/** Some clients look for the identity service below the address they were given, not beside it. */
const IDENTITY_BELOW = 'artifactory/access/api/';

export class Api {
  readonly #deps: ApiDeps;
  readonly #table: RouteTable<Route>;

  constructor(deps: ApiDeps) {
    this.#deps = deps;
    this.#table = new RouteTable(register(withDescription(apiRoutes(deps))));
  }

  /** Takes requests for which there is a route, where a protocol of packages would otherwise take them for its own. */
  beginKnown(exchange: Exchange): Call | undefined {
    const { decoded } = exchange.target;
    if (decoded[1] !== 'api') return undefined;
    const match = this.#table.match(exchange.request.method ?? '', decoded.join('/'));
    if (!match || !('route' in match)) return undefined;
    // Only a slash at the end is read in another way.
    return decoded.at(-1) === '' ? this.begin(exchange) : this.#take(exchange, match);
  }

  begin(exchange: Exchange): Call | undefined {
    const { decoded } = exchange.target;
    const segments = decoded.at(-1) === '' ? decoded.slice(0, -1) : decoded;
    const method = exchange.request.method ?? '';
    const path = segments.join('/');
    const match =
      this.#table.match(method, path) ??
      (path.startsWith(IDENTITY_BELOW) ? this.#table.match(method, path.slice('artifactory/'.length)) : undefined);
    if (!match && !AREAS.some(([context, api]) => segments[0] === context && segments[1] === api)) return undefined;
    return this.#take(exchange, match);
  }

  #take(exchange: Exchange, match: RouteMatch<Route> | undefined): Call {
    exchange.note.area = 'api';
    const found = match && 'route' in match ? match.route : undefined;
    return {
      run: () => this.#run(exchange, match),
      fail: (error, status) => failure(error, status, found?.renderFailure ?? rendererOf(exchange.target.decoded)),
    };
  }

  async #run(exchange: Exchange, match: RouteMatch<Route> | undefined): Promise<Reply> {
    if (!match) {
      await this.#admit(exchange, 'user');
      throw new AppError('not_found', 'Not Found');
    }
    if (!('route' in match)) {
      throw new AppError('not_supported', 'Method Not Allowed', { headers: { Allow: match.allow.join(', ') } });
    }
    const { route, params } = match;
    const caller = await this.#admit(exchange, route.right);
    return route.answer({
      method: exchange.request.method ?? 'GET',
      params,
      query: new URLSearchParams(exchange.target.rawQuery),
      caller,
      exchange,
      root: `${exchange.origin}/artifactory`,
    });
  }

  async #admit(exchange: Exchange, right: Right): Promise<Authentication> {
    if (right === 'none') return NOBODY;
    const { permissions, authenticator, anonymousAccess } = this.#deps;
    if (!permissions.isFresh) await permissions.refresh();
    const caller = await authenticator.authenticate(exchange.request.headers, exchange.peer);
    const { principal, authenticated } = caller;
    exchange.note.principal = nameOf(principal);
    if (!authenticated && !(right === 'reader' && anonymousAccess)) {
      throw new AppError('unauthenticated', 'Authentication is required');
    }
    if (right === 'admin' && !isAdmin(principal)) {
      throw new AppError('forbidden', 'Only an administrator may do this, and not with a token of narrower scope.');
    }
    return caller;
  }
}

/** The table of routes; the first that fits an address takes it. */
export function apiRoutes(deps: ApiDeps): readonly Route[] {
  return [
    ...systemRoutes(deps),
    ...factRoutes(deps),
    ...licenseRoutes(deps),
    ...auditRoutes(deps),
    ...certificateRoutes(deps),
    ...configurationRoutes(deps),
    ...configurationPartRoutes(deps),
    ...readOnlyRoutes(deps),
    ...remoteRoutes(deps),
    ...repositoryBatchRoutes(deps),
    ...repositoryRoutes(deps),
    ...userRoutes(deps),
    ...groupRoutes(deps),
    ...permissionTargetRoutes(deps),
    ...tokenRoutes(deps),
    ...aqlRoutes(deps),
    ...itemSearchRoutes(deps),
    ...versionSearchRoutes(deps),
    ...buildSearchRoutes(deps),
    ...storageRoutes(deps),
    ...relocationRoutes(deps),
    ...trashRoutes(deps),
    ...taskRoutes(deps),
    ...explainRoutes(deps),
    ...resolutionRoutes(deps),
    ...setMeUpRoutes(deps),
    ...storageSummaryRoutes(deps),
    ...buildRoutes(deps),
    ...buildRemovalRoutes(deps),
    ...buildPromotionRoutes(deps),
    ...buildArchiveRoutes(deps),
    ...platformRoutes(),
    ...encryptedPasswordRoutes(deps),
    ...uploadRoutes(deps),
    ...archiveDownloadRoutes(deps),
    ...archiveIndexRoutes(deps),
    ...keyPairRoutes(deps),
    ...packageRoutes(deps),
  ];
}

/** Refuses a route that does not say who may call it: what the types demand, checked once more before it is served. */
export function register(routes: readonly Route[]): readonly Route[] {
  for (const { right, pattern } of routes) {
    if (!RIGHTS.includes(right)) throw new Error(`the route ${pattern} declares no right`);
  }
  return routes;
}

function failure(error: AppError, status: number, render: (error: AppError, status: number) => unknown): Reply {
  return {
    status,
    json: render(error, status),
    headers: {
      ...(error.detail['headers'] as Record<string, string> | undefined),
      ...(status === 401 && { 'WWW-Authenticate': 'Basic realm="Artifactory Realm"' }),
    },
  };
}

function rendererOf([context, below]: readonly string[]): (error: AppError, status: number) => unknown {
  const isIdentity = context === 'access' || (context === 'artifactory' && below === 'access');
  return (error, status) => ({
    errors: [
      {
        status,
        // The identity service names its errors besides.
        ...(isIdentity && { code: NAMES[status] ?? error.code.toUpperCase() }),
        message: error.message,
      },
    ],
  });
}

const NAMES: Readonly<Record<number, string>> = { 400: 'BAD_REQUEST', 401: 'UNAUTHORIZED' };
