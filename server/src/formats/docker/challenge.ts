/** What the registry asks of a caller without sufficient credentials (distribution token specification). */
import { audienceOf, type Failure } from '../../core/protocol.ts';

/** Bearer first: some clients read only the first header. Basic second, for those who know no tokens. */
export function challenge(failure: Failure): readonly string[] {
  const { links } = failure;
  const query = links.query === undefined ? '' : `?${links.query}`;
  const parts = [`realm="${links.origin}${tokenPath(links.mount)}${query}"`, `service="${audienceOf(links.origin)}"`];
  const scopes = scopesFor(failure);
  if (scopes.length > 0) parts.push(`scope="${scopes.join(' ')}"`);
  if (failure.badCredentials) parts.push('error="invalid_token"');
  else if (failure.authenticated) parts.push('error="insufficient_scope"');
  return [`Bearer ${parts.join(',')}`, 'Basic realm="Artifactory Realm"'];
}

/** The token endpoint beside the mount that the client used, so that a proxy in between passes both. */
function tokenPath(mount: string): string {
  return mount.startsWith('/v2') ? '/v2/token' : `${mount}/token`;
}

const NAME = /^[a-z0-9._/-]{1,512}$/;
const RESOURCES = ['/manifests/', '/blobs/', '/tags/', '/referrers/'];

/** The scopes that the refused request would need, by its method and path below the mount. */
function scopesFor({ request, links }: Failure): string[] {
  const { method, path, query } = request;
  if (path === '_catalog') return ['registry:catalog:*'];
  const uploads = path.lastIndexOf('/blobs/uploads');
  // Names may hold the protocol's words: only the last one counts.
  const at = uploads >= 0 ? uploads : Math.max(...RESOURCES.map((word) => path.lastIndexOf(word)));
  const name = path.slice(0, Math.max(at, 0));
  if (!NAME.test(name)) return [];
  const repo = /^\/v2\/(.+)$/.exec(links.mount)?.[1];
  const target = `repository:${repo === undefined ? name : `${repo}/${name}`}`;
  if (method === 'GET' || method === 'HEAD') return [`${target}:${uploads >= 0 ? 'pull,push' : 'pull'}`];
  if (method === 'DELETE' && uploads < 0) return [`${target}:delete`];
  const from = query.get('from');
  const isMount = method === 'POST' && query.get('mount') !== null && from !== null && NAME.test(from);
  return isMount ? [`${target}:pull,push`, `repository:${from}:pull`] : [`${target}:pull,push`];
}
