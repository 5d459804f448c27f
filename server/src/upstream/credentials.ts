/** The credentials of a repository, bound to where they may be sent. */
import { isIP } from 'node:net';
import { withoutBrackets } from './addresses.ts';
import { type RemoteEndpoint, revealed } from './endpoint.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Those of the settings, or else those in the URL; undefined where there are none. */
export function credentialsOf(endpoint: RemoteEndpoint): Credentials | undefined {
  const password = revealed(endpoint.password);
  const username = endpoint.username ?? '';
  if (username !== '' || password !== '') return { username, password };
  const url = URL.parse(endpoint.url);
  if (!url || (url.username === '' && url.password === '')) return undefined;
  return { username: decoded(url.username), password: decoded(url.password) };
}

/** The field Authorization for credentials sent as they are (RFC 7617). */
export function basicAuthorization({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/**
 * Whether two hosts belong to one owner, as far as names tell: they are equal, or lie below one domain that somebody
 * registered. Erring is safe in one direction only, so what hands out names below itself to anybody is never taken for
 * such a domain: of country domains their second level too, and the platforms in the list.
 */
export function isSameDomain(one: string, other: string): boolean {
  const [first, second] = [one, other].map((host) => withoutBrackets(host).toLowerCase().replace(/\.$/, ''));
  if (first === undefined || second === undefined || first === '' || second === '') return false;
  if (first === second) return true;
  if (isIP(first) !== 0 || isIP(second) !== 0) return false;
  const domain = registrableDomain(first);
  return domain !== undefined && domain === registrableDomain(second);
}

/** Second levels below which countries register: `co.uk`, `com.au`. */
const SECOND_LEVELS = new Set(
  'ac co com ed edu firm fin gen go gob gouv gov govt gv id ind info ltd me mil name ne net nhs nom or org plc pro res sch'.split(
    ' ',
  ),
);

/** Domains whose owner gives names below them to customers. */
const PLATFORMS: readonly string[] = [
  'amazonaws.com',
  'amazonaws.com.cn',
  'appspot.com',
  'awsapps.com',
  'azure-api.net',
  'azurecr.cn',
  'azurecr.io',
  'azurecr.us',
  'azureedge.net',
  'azurefd.net',
  'azurewebsites.net',
  'b-cdn.net',
  'backblazeb2.com',
  'cloudapp.net',
  'cloudflare.net',
  'cloudflarestorage.com',
  'cloudfront.net',
  'cloudfunctions.net',
  'cloudsmith.io',
  'digitaloceanspaces.com',
  'duckdns.org',
  'edgecastcdn.net',
  'fastly.net',
  'fastlylb.net',
  'firebaseapp.com',
  'fly.dev',
  'github.dev',
  'github.io',
  'githubusercontent.com',
  'gitlab.io',
  'googleapis.com',
  'googleusercontent.com',
  'herokuapp.com',
  'jfrog.io',
  'jfrogdev.org',
  'myshopify.com',
  'netlify.app',
  'ngrok-free.app',
  'ngrok.app',
  'ngrok.io',
  'nip.io',
  'onrender.com',
  'ondigitalocean.app',
  'oraclecloud.com',
  'pages.dev',
  'pkg.dev',
  'r2.dev',
  'railway.app',
  'run.app',
  'scw.cloud',
  'sslip.io',
  'surge.sh',
  'trycloudflare.com',
  'vercel.app',
  'web.app',
  'windows.net',
  'workers.dev',
  'xip.io',
];

function registrableDomain(host: string): string | undefined {
  const labels = host.split('.');
  if (labels.some((label) => label === '')) return undefined;
  if (PLATFORMS.some((platform) => host === platform || host.endsWith(`.${platform}`))) return undefined;
  const [second = '', top = ''] = labels.slice(-2);
  const depth = top.length === 2 && SECOND_LEVELS.has(second) ? 3 : 2;
  return labels.length >= depth ? labels.slice(-depth).join('.') : undefined;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
