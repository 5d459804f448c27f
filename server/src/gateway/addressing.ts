/** Which format, and which repository, an address stands for. */
import type { Format, Mount } from '../core/format.ts';
import type { Target } from '../core/target.ts';

export interface Addressed {
  readonly format: Format;
  readonly of: Mount;
  /** Key of the repository; undefined for routes that name none. */
  readonly key: string | undefined;
  /** Path prefix of the mount as the client wrote it. */
  readonly mount: string;
  /** Decoded path below the mount. */
  readonly path: string;
  /** The repository was bound by host name, port or a mount that names it, so service routes belong to it too. */
  readonly bound: boolean;
}

/** Repositories bound to host names and ports, so that their images need no key in the address. */
export interface Bindings {
  /** Base domain of `<key>.<domain>`. */
  readonly domain: string | undefined;
  readonly hosts: Readonly<Record<string, string>>;
  readonly ports: Readonly<Record<string, string>>;
  has(key: string): boolean;
}

/** The format's own protocol this address belongs to; undefined for plain paths and the REST API. */
export function addressFormat(
  formats: readonly Format[],
  bindings: Bindings,
  from: { readonly target: Target; readonly host: string; readonly localPort: number },
): Addressed | undefined {
  for (const format of formats) {
    for (const mount of format.mounts) {
      const rest = below(from.target.decoded, mount.before);
      if (!rest) continue;
      const found = addressMount(format, mount, rest, bindings, from);
      if (found) return found;
    }
  }
  return undefined;
}

function addressMount(
  format: Format,
  mount: Mount,
  rest: readonly string[],
  bindings: Bindings,
  from: { readonly host: string; readonly localPort: number },
): Addressed | undefined {
  const boundKey = mount.bindable ? boundRepository(bindings, from.host, from.localPort) : undefined;
  if (boundKey !== undefined) {
    return { format, of: mount, key: boundKey, mount: mount.before, path: rest.join('/'), bound: true };
  }
  const [key, ...inside] = rest;
  if (mount.after !== '') {
    const path = below(inside, mount.after);
    if (key === undefined || !path) return undefined;
    return { format, of: mount, key, mount: `${mount.before}/${key}${mount.after}`, path: path.join('/'), bound: true };
  }
  const service = mount.serviceRoutes ?? format.serviceRoutes;
  const isService = rest.length <= 1 || service?.some((route) => route.pattern === rest.join('/'));
  if (isService || key === undefined) {
    return { format, of: mount, key: undefined, mount: mount.before, path: rest.join('/'), bound: false };
  }
  return { format, of: mount, key, mount: `${mount.before}/${key}`, path: inside.join('/'), bound: false };
}

function boundRepository(bindings: Bindings, host: string, port: number): string | undefined {
  const byPort = bindings.ports[String(port)];
  if (byPort !== undefined) return byPort;
  if (Object.hasOwn(bindings.hosts, host)) return bindings.hosts[host];
  const domain = bindings.domain;
  if (domain === undefined || !host.endsWith(`.${domain}`)) return undefined;
  const label = host.slice(0, -domain.length - 1);
  if (bindings.has(label)) return label;
  // `<instance>-<key>.<domain>`, as hosted installations write it.
  const dash = [...label.matchAll(/-/g)].map(({ index }) => label.slice(index + 1)).find((key) => bindings.has(key));
  return dash;
}

/** The segments below a prefix; undefined when they do not lie there. */
function below(segments: readonly string[], prefix: string): readonly string[] | undefined {
  const wanted = prefix.split('/').filter((part) => part !== '');
  for (const [i, part] of wanted.entries()) if (segments[i] !== part) return undefined;
  return segments.slice(wanted.length);
}
