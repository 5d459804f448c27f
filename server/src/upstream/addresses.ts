/** Which hosts may be asked at all: looked up once, every address checked, and one that was checked is dialled. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { addressRanges } from '../config/fields.ts';
import { UpstreamFailure } from '../core/upstream.ts';
import { type AddressClass, canonicalAddress, classifyAddress } from './ip.ts';

/** All addresses of a host name. */
export type Resolver = (host: string) => Promise<readonly string[]>;

/** Whether an administrator chose the host, as that of a repository or a proxy, or something from outside led to it. */
export type HostOrigin = 'chosen' | 'led-to';

export interface AddressGuardOptions {
  /** Addresses and ranges that may be asked whatever they are; metadata addresses only when listed one by one. */
  readonly allowed: readonly string[];
  readonly resolve?: Resolver;
}

const SETTING = 'ENTREPOT_REMOTES__ALLOWED_ADDRESSES';
/** More than any host has; a longer answer is not worth checking. */
const MAX_ADDRESSES = 64;
/** Ports below this are of other services: nothing that led us there should make us talk to them. */
const FIRST_FREE_PORT = 1024;

export class AddressGuard {
  readonly #ranges: ReturnType<typeof addressRanges>;
  readonly #exact: ReadonlySet<string | undefined>;
  readonly #resolve: Resolver;

  constructor(options: AddressGuardOptions) {
    this.#ranges = addressRanges(options.allowed);
    this.#exact = new Set(options.allowed.flatMap((range) => exactAddress(range) ?? []));
    this.#resolve = options.resolve ?? resolveHost;
  }

  /**
   * Refuses what needs no look-up to be refused: other schemes than http and https, ports of other services, and hosts
   * that are addresses which may not be asked.
   */
  checkUrl(url: URL, origin: HostOrigin, { anyPort }: { readonly anyPort: boolean }): void {
    if (url.protocol !== 'http:' && url.protocol !== 'https:') {
      throw refusal(`An address of the scheme "${url.protocol.slice(0, 20)}" is not asked; only http and https are.`);
    }
    const port = Number(url.port);
    if (!anyPort && url.port !== '' && port !== 80 && port !== 443 && port < FIRST_FREE_PORT) {
      throw refusal(`Port ${port} of host "${url.hostname}" is not asked: it belongs to another service than http.`);
    }
    const address = withoutBrackets(url.hostname);
    if (isIP(address) !== 0) this.#check(address, url.hostname, origin);
  }

  /** The addresses that may be dialled; throws if any that the host has may not, or if there is none. */
  async addressesOf(hostname: string, origin: HostOrigin): Promise<readonly string[]> {
    const host = withoutBrackets(hostname);
    const addresses = isIP(host) === 0 ? await this.#lookUp(host) : [host];
    for (const address of addresses) this.#check(address, hostname, origin);
    return addresses;
  }

  async #lookUp(host: string): Promise<readonly string[]> {
    let addresses: readonly string[];
    try {
      addresses = await this.#resolve(host);
    } catch (cause) {
      throw new UpstreamFailure('unreachable', `The name of host "${host}" cannot be resolved.`, { cause });
    }
    if (addresses.length === 0) {
      throw new UpstreamFailure('unreachable', `The name of host "${host}" has no address.`);
    }
    if (addresses.length > MAX_ADDRESSES) throw refusal(`Host "${host}" has more than ${MAX_ADDRESSES} addresses.`);
    return addresses;
  }

  #check(address: string, hostname: string, origin: HostOrigin): void {
    const found = classifyAddress(address);
    if (found.kind === 'public' || (found.kind === 'private' && origin === 'chosen')) return;
    if (this.#isListed(address, found)) return;
    const listed = found.kind === 'metadata' ? 'listed by itself' : 'listed';
    throw refusal(`Host "${hostname}" is ${found.name}, which is not asked unless it is ${listed} in ${SETTING}.`);
  }

  #isListed(address: string, { kind }: AddressClass): boolean {
    if (kind === 'metadata') return this.#exact.has(canonicalAddress(address));
    const family = isIP(address);
    return family !== 0 && this.#ranges.check(address, family === 6 ? 'ipv6' : 'ipv4');
  }
}

/** The host of a URL as it is dialled. */
export function withoutBrackets(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/** Whether two names are one host: a dot at the end makes no other. */
export function isSameHost(one: string, other: string): boolean {
  return one.replace(/\.$/, '') === other.replace(/\.$/, '');
}

function exactAddress(range: string): string | undefined {
  const [address = '', prefix] = range.split('/');
  const whole = isIP(address) === 6 ? '128' : '32';
  return prefix === undefined || prefix === whole ? canonicalAddress(address) : undefined;
}

function refusal(message: string): UpstreamFailure {
  return new UpstreamFailure('refused', message);
}

async function resolveHost(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true, verbatim: true });
  return found.map(({ address }) => address);
}
