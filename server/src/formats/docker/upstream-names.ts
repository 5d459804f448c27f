/** Where the registry behind a repository's URL is, how it calls an image, and how it is asked for something of one. */
import type { RemoteFacts } from '../../core/remote.ts';
import type { Ask } from '../../core/upstream.ts';

const HUB = 'https://registry-1.docker.io/';
/** What people write for Docker Hub. */
const HUB_HOSTS = new Set([
  'docker.io',
  'www.docker.io',
  'hub.docker.com',
  'registry.hub.docker.com',
  'index.docker.io',
  'registry.docker.io',
  'registry-1.docker.io',
]);

/** The base of the registry's address, below which `v2/` lies. */
export function registryAddress(url: URL): URL {
  if (isHubName(url)) return withCredentials(new URL(HUB), url);
  const { base } = splitAddress(url);
  const address = new URL(url);
  address.pathname = base;
  address.search = '';
  address.hash = '';
  return address;
}

/** What stands before the names of images where the URL leads into a registry, with a slash at its end. */
export function imagePrefix(url: URL): string {
  return isHubName(url) ? '' : splitAddress(url).prefix;
}

/** A URL may end in `/v2`, or in `/v2/<repository>` for registries that know repositories by the beginning of names. */
function splitAddress({ pathname }: URL): { readonly base: string; readonly prefix: string } {
  const segments = pathname.split('/').filter((segment) => segment !== '');
  const at = segments[0] === 'v2' ? 0 : segments.at(-1) === 'v2' ? segments.length - 1 : segments.length;
  const prefix = segments.slice(at + 1).join('/');
  const base = segments.slice(0, at).join('/');
  return { base: base === '' ? '/' : `/${base}/`, prefix: prefix === '' ? '' : `${prefix}/` };
}

/** Only under its own scheme and port: what a test or a proxy puts in its place is asked where it is. */
function isHubName({ hostname, port }: URL): boolean {
  return port === '' && HUB_HOSTS.has(hostname);
}

function withCredentials(address: URL, { username, password }: URL): URL {
  address.username = username;
  address.password = password;
  return address;
}

/** Docker Hub knows images without an owner below `library/` alone. */
export function canonicalName(name: string, { url }: Pick<RemoteFacts, 'url'>): string {
  return HUB_HOSTS.has(url.hostname) && !name.includes('/') ? `library/${name}` : name;
}

/**
 * Registries say so of what does not exist and of what one may not know of, with a token that is good. Our callers have
 * nothing to do with it: to them it is not there.
 */
export const UNKNOWN = [401, 403];

/** A request for something of an image, with the scope of the token that registries ask for it. */
export function askOf(remote: RemoteFacts, name: string, rest: string): Ask {
  const full = `${imagePrefix(remote.url)}${name}`;
  return { path: `v2/${full}/${rest}`, scope: `repository:${full}:pull` };
}
