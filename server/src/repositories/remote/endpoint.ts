/** What the settings of a remote repository, and the server's own, say of how its upstream is reached. */
import type { Secrets } from '../../auth/secrets.ts';
import { clip } from '../../core/ids.ts';
import { UpstreamFailure } from '../../core/upstream.ts';
import type { RepositoryRow } from '../../db/repositories.ts';
import { Secret } from '../../lib/secret.ts';
import type { CustomHeader, ProxyEndpoint, RemoteEndpoint } from '../../upstream/endpoint.ts';
import type { ClientCertificates } from '../certificates.ts';
import { openConfigured } from '../configuration-merge.ts';
import { openSecret, settingOf, textOf } from '../settings.ts';
import type { SystemConfiguration } from '../system-configuration.ts';

export interface EndpointDeps {
  readonly secrets: Secrets;
  readonly certificates: Pick<ClientCertificates, 'open'>;
  readonly configuration: Pick<SystemConfiguration, 'document'>;
}

/** The part of a repository's row that says it. */
export type ReachedRepository = Pick<RepositoryRow, 'key' | 'rclass' | 'packageType' | 'config'>;

/**
 * The endpoint of a remote repository, its secrets in the clear. Throws an UpstreamFailure where the settings name a
 * proxy or a certificate that is not there: asking in another way could show what was to stay inside.
 */
export function endpointOf(row: ReachedRepository, deps: EndpointDeps): RemoteEndpoint {
  const text = (name: string) => textOf(settingOf(name, row));
  const flag = (name: string) => settingOf(name, row) === true;
  const count = (name: string) => Number(settingOf(name, row) ?? 0);
  const username = text('username');
  const password = openSecret(deps.secrets, row.key, row.config['password']);
  return {
    key: row.key,
    url: text('url'),
    ...(username !== '' && { username }),
    ...(password !== undefined && { password: new Secret(password) }),
    proxy: proxyOf(row, deps),
    clientCertificate: certificateOf(row, deps),
    socketTimeoutMillis: count('socketTimeoutMillis'),
    assumedOfflinePeriodSecs: count('assumedOfflinePeriodSecs'),
    allowAnyHostAuth: flag('allowAnyHostAuth'),
    enableCookieManagement: flag('enableCookieManagement'),
    enableTokenAuthentication: flag('enableTokenAuthentication'),
    queryParams: text('queryParams'),
    customHttpHeaders: headersOf(row, deps.secrets),
    localAddress: text('localAddress'),
    disableUrlNormalization: flag('disableUrlNormalization'),
  };
}

interface StoredProxy {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: unknown;
  readonly platformDefault?: boolean;
}

/** The one that is named, or else the default of the server; none where the repository wants none. */
function proxyOf(row: ReachedRepository, { configuration, secrets }: EndpointDeps): ProxyEndpoint | undefined {
  if (settingOf('disableProxy', row) === true) return undefined;
  const proxies = (configuration.document.sections['proxies'] ?? {}) as Readonly<Record<string, StoredProxy>>;
  const named = textOf(settingOf('proxy', row));
  const [key, proxy] =
    named === ''
      ? (Object.entries(proxies).find(([, { platformDefault }]) => platformDefault === true) ?? [])
      : [named, Object.hasOwn(proxies, named) ? proxies[named] : undefined];
  if (key === undefined) return undefined;
  if (!proxy) throw missing(row, 'proxy', key);
  const password = openConfigured(secrets, proxy.password, `proxies.${key}.password`);
  return {
    host: proxy.host.replace(/^\[|\]$/g, ''),
    port: proxy.port,
    ...(proxy.username && { username: proxy.username }),
    ...(password !== undefined && { password: new Secret(password) }),
  };
}

function certificateOf(row: ReachedRepository, { certificates }: EndpointDeps): RemoteEndpoint['clientCertificate'] {
  const alias = textOf(settingOf('clientTlsCertificate', row));
  if (alias === '') return undefined;
  const found = certificates.open(alias);
  if (!found) throw missing(row, 'client certificate', alias);
  return { cert: found.chain, key: new Secret(found.key) };
}

/** A header whose secret was removed when the repository got another URL is not sent. */
function headersOf(row: ReachedRepository, secrets: Secrets): readonly CustomHeader[] {
  const headers = row.config['customHttpHeaders'];
  if (!Array.isArray(headers)) return [];
  return (headers as readonly Readonly<Record<string, unknown>>[]).flatMap(({ name, value, sensitive }) => {
    const shown = typeof value === 'string' ? value : openSecret(secrets, row.key, value);
    if (typeof name !== 'string' || shown === undefined || (sensitive === true && shown === '')) return [];
    return [{ name, value: sensitive === true ? new Secret(shown) : shown }];
  });
}

function missing({ key }: ReachedRepository, what: string, name: string): UpstreamFailure {
  return new UpstreamFailure(
    'refused',
    `The settings of the repository "${key}" name the ${what} "${clip(name)}", which does not exist; correct them.`,
  );
}
