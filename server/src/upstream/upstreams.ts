/** The one door to servers outside: hands out an upstream for each remote repository. */
import { createHash } from 'node:crypto';
import type { Upstream } from '../core/upstream.ts';
import { AddressGuard, type Resolver } from './addresses.ts';
import type { Dialler } from './dialling.ts';
import { type RemoteEndpoint, revealed } from './endpoint.ts';
import { RemoteUpstream } from './remote-upstream.ts';
import type { UpstreamObserver } from './sender.ts';

export interface UpstreamsOptions {
  /** Addresses and ranges that may be asked although they are this machine's, its network's, or a cloud's own. */
  readonly allowedAddresses?: readonly string[];
  /** Certificates, in PEM, of authorities that are trusted besides those of the system. */
  readonly authorities?: readonly string[];
  readonly observe?: UpstreamObserver;
  readonly resolve?: Resolver;
  readonly dial?: Dialler;
  /** Milliseconds since 1970; for tests. */
  readonly now?: () => number;
  /** How long a body may stand still, at least; for tests. */
  readonly bodyIdleTimeoutMs?: number;
}

interface Known {
  endpoint: RemoteEndpoint;
  readonly fingerprint: string;
  readonly upstream: RemoteUpstream;
}

const BODY_IDLE_MS = 60_000;

export class Upstreams {
  readonly #known = new Map<string, Known>();
  readonly #options: UpstreamsOptions;
  readonly #guard: AddressGuard;

  constructor(options: UpstreamsOptions = {}) {
    this.#options = options;
    this.#guard = new AddressGuard({
      allowed: options.allowedAddresses ?? [],
      ...(options.resolve && { resolve: options.resolve }),
    });
  }

  /**
   * The upstream of a repository, the same as long as its settings are. Throws an UpstreamFailure where they name no
   * address that can be asked.
   */
  of(endpoint: RemoteEndpoint): Upstream {
    const known = this.#known.get(endpoint.key);
    if (known?.endpoint === endpoint) return known.upstream;
    const fingerprint = fingerprintOf(endpoint);
    if (known?.fingerprint === fingerprint) {
      known.endpoint = endpoint;
      return known.upstream;
    }
    const { authorities, observe, dial, now, bodyIdleTimeoutMs } = this.#options;
    const upstream = new RemoteUpstream(endpoint, {
      guard: this.#guard,
      authorities,
      observe,
      dial,
      now: now ?? Date.now,
      bodyIdleTimeoutMs: bodyIdleTimeoutMs ?? BODY_IDLE_MS,
    });
    this.#known.set(endpoint.key, { endpoint, fingerprint, upstream });
    known?.upstream.retire().catch(() => {});
    return upstream;
  }

  /** Repositories whose upstreams are not asked at present, and why. */
  paused(): readonly (readonly [key: string, reason: string])[] {
    return [...this.#known].flatMap(
      ([
        key,
        {
          upstream: { pause },
        },
      ]) => (pause ? [[key, pause.reason] as const] : []),
    );
  }

  /** Forgets a repository that is gone; what is under way is finished. */
  async remove(key: string): Promise<void> {
    const known = this.#known.get(key);
    this.#known.delete(key);
    await known?.upstream.retire();
  }

  /** Forgets the repositories that are gone. */
  async keep(isThere: (key: string) => boolean): Promise<void> {
    for (const key of [...this.#known.keys()]) if (!isThere(key)) await this.remove(key);
  }

  /** Ends everything that is under way. */
  async close(): Promise<void> {
    const all = [...this.#known.values()];
    this.#known.clear();
    await Promise.all(all.map(({ upstream }) => upstream.destroy()));
  }
}

/** Equal for equal settings, secrets included; tells nothing of them. */
function fingerprintOf(endpoint: RemoteEndpoint): string {
  const { password, proxy, clientCertificate, customHttpHeaders, ...rest } = endpoint;
  const text = JSON.stringify([
    Object.entries(rest).sort(([one], [other]) => (one < other ? -1 : 1)),
    revealed(password),
    proxy && [proxy.scheme, proxy.host, proxy.port, proxy.username, revealed(proxy.password)],
    clientCertificate && [clientCertificate.cert, revealed(clientCertificate.key)],
    customHttpHeaders?.map(({ name, value }) => [name, revealed(value)]),
  ]);
  return createHash('sha256').update(text).digest('base64');
}
