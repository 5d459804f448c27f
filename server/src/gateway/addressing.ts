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
  /** The server of which this one is taken for a mirror; `key` is undefined where it is none of that one. */
  readonly namespace?: string;
}

/** Repositories bound to host names and ports, so that their images need no key in the address. */
export interface Bindings {
  /** Base domain of `<key>.<domain>`. */
  readonly domain: string | undefined;
  readonly hosts: Readonly<Record<string, string>>;
  readonly ports: Readonly<Record<string, string>>;
  /** Which repository stands for which other server, and the bound repositories in whose place they are asked. */
  readonly mirrors: Readonly<Record<string, string>>;
  readonly mirrorEndpoints: readonly string[];
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
  from: { readonly target: Target; readonly host: string; readonly localPort: number },
): Addressed | undefined {
  const boundKey = mount.bindable ? boundRepository(bindings, from.host, from.localPort) : undefined;
  const mirrored = addressMirror(mount, rest, bindings, { boundKey, rawQuery: from.target.rawQuery });
  if (mirrored) return { format, of: mount, mount: mount.before, path: rest.join('/'), ...mirrored };
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

/**
 * The repository that stands for the server whose mirror the client takes this one for. Undefined where it is taken for
 * none: clients name a server also to those that they address by a repository's key.
 */
function addressMirror(
  mount: Mount,
  rest: readonly string[],
  { mirrors, mirrorEndpoints, has }: Bindings,
  { boundKey, rawQuery }: { readonly boundKey: string | undefined; readonly rawQuery: string },
): Pick<Addressed, 'key' | 'bound' | 'namespace'> | undefined {
  const { namespaces } = mount;
  if (!namespaces || Object.keys(mirrors).length === 0) return undefined;
  if (boundKey !== undefined && !mirrorEndpoints.includes(boundKey)) return undefined;
  const repositoryOf = (name: string) => (Object.hasOwn(mirrors, name) ? mirrors[name] : undefined);
  const named = new URLSearchParams(rawQuery).get(namespaces.parameter)?.toLowerCase();
  if (named === undefined) {
    const key = boundKey === undefined ? undefined : repositoryOf(namespaces.unnamed);
    return key === undefined ? undefined : { key, bound: true };
  }
  if (boundKey === undefined && rest.length > 1 && has(rest[0] ?? '')) return undefined;
  return { key: repositoryOf(named), bound: true, namespace: named };
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
