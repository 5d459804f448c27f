/** Package traffic: an address becomes a repository and its format, and the format answers. */

import type { Authentication, Authenticator } from '../auth/authenticator.ts';
import { AppError } from '../core/errors.ts';
import type { Format, Mount } from '../core/format.ts';
import { clip } from '../core/ids.ts';
import { nameOf } from '../core/principal.ts';
import {
  audienceOf,
  type Failure,
  type Links,
  type OwnAccount,
  type ProtocolContext,
  type ProtocolRequest,
  type Reply,
  type Route,
  type ServiceContext,
  type TokenAccess,
} from '../core/protocol.ts';
import type { Repository } from '../core/repository.ts';
import type { Call, Exchange, Refusal } from '../http/exchange.ts';
import { RouteTable } from '../lib/route-table.ts';
import type { Narrowing, RepositoryDirectory } from '../repositories/directory.ts';
import { type Addressed, addressFormat, type Bindings } from './addressing.ts';
import { FormatRequest } from './format-request.ts';
import { isRelayed } from './relayed.ts';
import { narrowByToken } from './token-narrowing.ts';

export interface GatewayDeps {
  readonly formats: readonly Format[];
  readonly repositories: RepositoryDirectory;
  readonly authenticator: Authenticator;
  /** Brought up to date before a request asks for rights. */
  readonly permissions: { readonly isFresh: boolean; refresh(): Promise<void> };
  readonly bindings: Bindings;
  /** Issues tokens for a signed-in caller. */
  issueToken(
    authentication: Authentication,
    options: { readonly audience: string; readonly access: readonly TokenAccess[] },
  ): Promise<{ readonly token: string; readonly expiresInSeconds: number; readonly issuedAt: Date }>;
  accountOf(authentication: Authentication): OwnAccount | undefined;
  approvedSignIn(code: string): Promise<OwnAccount | undefined>;
}

interface MountRoutes {
  readonly routes: RouteTable<Route>;
  readonly service: RouteTable<Route<ServiceContext>>;
}

export class Gateway {
  readonly #deps: GatewayDeps;
  readonly #tables = new Map<Mount, MountRoutes>();

  constructor(deps: GatewayDeps) {
    this.#deps = deps;
    for (const format of deps.formats) {
      const own = new RouteTable(format.routes);
      const common = new RouteTable(format.serviceRoutes ?? []);
      for (const mount of format.mounts) {
        const routes = mount.routes ? new RouteTable(mount.routes) : own;
        const service = mount.serviceRoutes ? new RouteTable(mount.serviceRoutes) : common;
        this.#tables.set(mount, { routes, service });
      }
    }
  }

  /** The call that answers the request, if it is package traffic in a format's own protocol. */
  begin(exchange: Exchange): Call | undefined {
    const addressed = addressFormat(this.#deps.formats, this.#deps.bindings, exchange);
    const routes = addressed && this.#tables.get(addressed.of);
    return routes && new FormatCall(this.#deps, routes, exchange, addressed);
  }

  /** Says no in the words of the format whose address it was, to a request that was too broken to be taken on. */
  refuse({ error, status, method, rawTarget }: Refusal): Reply | undefined {
    const format = this.#deps.formats.find(({ mounts }) => mounts.some(({ before }) => liesBelow(rawTarget, before)));
    const reply = format?.renderFailure?.({
      error,
      status,
      request: { method, path: '', query: new URLSearchParams() },
      links: { origin: '', mount: '' },
      authenticated: false,
      badCredentials: false,
    });
    if (!reply || 'asset' in reply) return reply;
    return { ...reply, headers: { ...format?.commonHeaders, ...reply.headers } };
  }
}

/** Whether a target that nobody could read lies below a path. */
function liesBelow(rawTarget: string, prefix: string): boolean {
  return rawTarget.startsWith(prefix) && /^[/?]|^$/.test(rawTarget.slice(prefix.length));
}

class FormatCall implements Call {
  readonly #deps: GatewayDeps;
  readonly #tables: MountRoutes;
  readonly #exchange: Exchange;
  readonly #addressed: Addressed;
  readonly #links: Links;
  #authentication: Authentication | undefined;

  constructor(deps: GatewayDeps, tables: MountRoutes, exchange: Exchange, addressed: Addressed) {
    this.#deps = deps;
    this.#tables = tables;
    this.#exchange = exchange;
    this.#addressed = addressed;
    const { namespace } = addressed;
    const { namespaces } = addressed.of;
    this.#links = {
      origin: exchange.origin,
      mount: addressed.mount,
      ...(namespace !== undefined &&
        namespaces && { query: new URLSearchParams({ [namespaces.parameter]: namespace }).toString() }),
    };
    // What no repository stands for may hold what no header can.
    if (namespace !== undefined && namespaces && addressed.key !== undefined) {
      exchange.response.setHeader(namespaces.header, namespace);
    }
    exchange.note.area = addressed.format.packageTypes[0] ?? 'format';
    for (const [name, value] of Object.entries(addressed.format.commonHeaders ?? {}))
      exchange.response.setHeader(name, value);
  }

  async run(): Promise<Reply> {
    const { request, peer, note } = this.#exchange;
    const { key, path, namespace } = this.#addressed;
    if (namespace !== undefined && key === undefined) {
      throw new AppError('not_found', `This server is no mirror of "${clip(namespace)}".`);
    }
    const { permissions, authenticator } = this.#deps;
    if (!permissions.isFresh) await permissions.refresh();
    const authentication = await authenticator.authenticate(request.headers, peer, {
      registryAudience: audienceOf(this.#links.origin),
    });
    this.#authentication = authentication;
    note.principal = nameOf(authentication.principal);
    const tables = this.#tables;
    const method = request.method ?? 'GET';
    const found = key === undefined ? undefined : tables.routes.match(method, path);
    if (found && 'route' in found) {
      return found.route.handle(this.#request(found.params), this.#context(this.#requireRepository(authentication)));
    }
    const service = key === undefined || this.#addressed.bound ? tables.service.match(method, path) : undefined;
    if (service && 'route' in service) {
      return service.route.handle(this.#request(service.params), this.#serviceContext(authentication));
    }
    if (!authentication.authenticated) throw new AppError('unauthenticated', 'Authentication is required.');
    const allow = found?.allow ?? service?.allow;
    if (allow)
      throw new AppError('not_supported', `The method ${clip(method)} is not supported here.`, {
        headers: { Allow: allow.join(', ') },
      });
    throw new AppError('not_found', 'There is nothing at this address. Check the name of the repository and the path.');
  }

  fail(error: AppError, status: number): Reply {
    const { format, path } = this.#addressed;
    const failure: Failure = {
      error,
      status,
      request: {
        method: this.#exchange.request.method ?? 'GET',
        path,
        query: new URLSearchParams(this.#exchange.target.rawQuery),
      },
      links: this.#links,
      authenticated: this.#broughtCredentials,
      badCredentials: error.detail['badCredentials'] === true,
    };
    return format.renderFailure?.(failure) ?? { status, json: { errors: [{ status, message: error.message }] } };
  }

  /** A token that was issued to nobody in particular counts too: its holder has done what the challenge asked. */
  get #broughtCredentials(): boolean {
    return this.#authentication?.authenticated === true || this.#authentication?.credential !== undefined;
  }

  #requireRepository({ principal, authenticated, registryAccess }: Authentication): Repository {
    const { key, format } = this.#addressed;
    const narrowing = this.#narrowing(registryAccess);
    const relayed = isRelayed(this.#exchange.request);
    const repo = this.#deps.repositories.get(key as string, principal, narrowing, { relayed });
    if (repo && format.packageTypes.includes(repo.packageType)) {
      this.#exchange.note.repo = repo.key;
      return repo;
    }
    if (!authenticated) throw new AppError('unauthenticated', 'Authentication is required.');
    throw new AppError('not_found', `There is no repository "${clip(key ?? '')}" of this kind, or you may not use it.`);
  }

  #narrowing(registryAccess: readonly TokenAccess[] | undefined): Narrowing | undefined {
    return registryAccess && narrowByToken(registryAccess);
  }

  #context(repo: Repository): ProtocolContext {
    const { principal, registryAccess } = this.#authentication as Authentication;
    const { repositories } = this.#deps;
    return {
      repo,
      links: this.#links,
      authenticated: this.#broughtCredentials,
      caller: principal.kind === 'user' ? principal.name : undefined,
      repositories: async () =>
        repositories.list(this.#addressed.format.packageTypes, principal, this.#narrowing(registryAccess)),
      repositoriesOfCaller: async () => repositories.list(this.#addressed.format.packageTypes, principal),
    };
  }

  #serviceContext(authentication: Authentication): ServiceContext {
    const { principal } = authentication;
    const { key, bound, format } = this.#addressed;
    const { repositories } = this.#deps;
    const get = (wanted: string) => {
      const repo = repositories.get(wanted, principal);
      return repo && format.packageTypes.includes(repo.packageType) ? repo : undefined;
    };
    return {
      links: this.#links,
      authenticated: this.#broughtCredentials,
      tokens: { issue: (options) => this.#deps.issueToken(authentication, options) },
      signIn: async (name, password) => {
        const signedIn = await this.#deps.authenticator.loginWithPassword(name, password, this.#exchange.peer);
        this.#exchange.note.principal = nameOf(signedIn.principal);
        return this.#serviceContext(signedIn);
      },
      account: this.#deps.accountOf(authentication),
      approvedSignIn: (code) => this.#deps.approvedSignIn(code),
      bound: bound && key !== undefined ? get(key) : undefined,
      repositories: async () => repositories.list(format.packageTypes, principal),
      repository: async (wanted) => get(wanted),
    };
  }
  #request(params: Readonly<Record<string, string>>): ProtocolRequest {
    return new FormatRequest(this.#exchange, this.#addressed.path, params);
  }
}
