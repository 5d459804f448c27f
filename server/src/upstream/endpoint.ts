/** Everything that the settings of a remote repository say of how its upstream is reached. */
import type { Secret } from '../lib/secret.ts';

export interface RemoteEndpoint {
  /** Of the repository. */
  readonly key: string;
  /** http or https; credentials in it count where `username` is empty. */
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: Secret | string | undefined;
  /** Undefined asks directly. */
  readonly proxy?: ProxyEndpoint | undefined;
  readonly clientCertificate?: ClientCertificate | undefined;
  /** How long an answer may take to begin, and a body to go on. */
  readonly socketTimeoutMillis?: number | undefined;
  /** 0 never assumes that the upstream is offline. */
  readonly assumedOfflinePeriodSecs?: number | undefined;
  /** Sends the credentials to whatever host the upstream leads to. */
  readonly allowAnyHostAuth?: boolean | undefined;
  readonly enableCookieManagement?: boolean | undefined;
  /** Whether to wait for a challenge before credentials are sent. */
  readonly enableTokenAuthentication?: boolean | undefined;
  /** `name=value&name=value`, added to what is asked at the repository's own host. */
  readonly queryParams?: string | undefined;
  readonly customHttpHeaders?: readonly CustomHeader[] | undefined;
  /** The address of this machine to ask from. */
  readonly localAddress?: string | undefined;
  /** Leaves double slashes in paths. */
  readonly disableUrlNormalization?: boolean | undefined;
  /** Requests under way at once; beyond them they wait. */
  readonly maxConcurrent?: number | undefined;
}

export interface CustomHeader {
  readonly name: string;
  readonly value: Secret | string;
}

export interface ProxyEndpoint {
  readonly scheme?: 'http' | 'https' | undefined;
  readonly host: string;
  readonly port: number;
  readonly username?: string | undefined;
  readonly password?: Secret | string | undefined;
}

export interface ClientCertificate {
  /** Both in PEM. */
  readonly key: Secret | string;
  readonly cert: string;
}

/** The text of what may be a secret. */
export function revealed(value: Secret | string | undefined): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : value.reveal();
}
