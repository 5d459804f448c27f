/** The token endpoint (distribution token and OAuth2 specifications). Tokens say who; every request asks again what. */
import { readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { joinPath, type RepoPath } from '../../core/ids.ts';
import {
  audienceOf,
  type ProtocolRequest,
  type Reply,
  type ServiceContext,
  type TokenAccess,
} from '../../core/protocol.ts';

const MAX_SCOPE_TEXT = 8192;
const MAX_SCOPES = 200;
const MAX_FORM_BYTES = 64 * 1024;

export async function getToken(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const { query } = request;
  return answer(context, query.get('service'), query.getAll('scope'));
}

/** Grant `password`; there are no refresh tokens to be redeemed here. */
export async function postToken(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const body = await readAll(request.body, { limit: MAX_FORM_BYTES, what: 'token request' });
  const form = new URLSearchParams(body.toString('utf8'));
  const grant = form.get('grant_type');
  if (grant === 'refresh_token') {
    return oauthError(
      'invalid_grant',
      'This registry issues no refresh tokens. Sign in with a user name and a password or token.',
    );
  }
  if (grant !== 'password') {
    return oauthError('unsupported_grant_type', 'The grant type must be "password".');
  }
  const signedIn = await context.signIn(form.get('username') ?? '', form.get('password') ?? '');
  return answer(signedIn, form.get('service'), form.getAll('scope'));
}

function oauthError(error: string, description: string): Reply {
  return { status: 400, json: { error, error_description: description } };
}

async function answer(context: ServiceContext, service: string | null, scopes: readonly string[]): Promise<Reply> {
  const audience = audienceOf(context.links.origin);
  if (service !== null && service !== '' && service !== audience) {
    throw new AppError('invalid', `Tokens for another service than "${audience}" are not issued here.`);
  }
  const access = await grant(context, parseScopes(scopes));
  // Inside the token a name always begins with the repository's key, however the client addressed it.
  const prefix = context.bound ? `${context.bound.key}/` : '';
  const issued = await context.tokens.issue({
    audience,
    access: access.flatMap((entry) => (entry.type === 'repository' ? spellings(prefix, entry) : entry)),
  });
  return {
    status: 200,
    json: {
      token: issued.token,
      access_token: issued.token,
      expires_in: issued.expiresInSeconds,
      issued_at: issued.issuedAt.toISOString(),
      scope: access.map(({ type, name, actions }) => `${type}:${name}:${actions.join(',')}`).join(' '),
    },
    headers: { 'Cache-Control': 'no-store' },
  };
}

/** Images of Docker Hub are held below `library/`, also where clients leave that out. */
function spellings(prefix: string, entry: TokenAccess): TokenAccess[] {
  const [key, image, ...more] = (prefix + entry.name).split('/');
  const asked = { ...entry, name: prefix + entry.name };
  if (image === undefined || more.length > 0 || !entry.actions.includes('pull')) return [asked];
  return [asked, { ...entry, name: `${key}/library/${image}`, actions: ['pull'] }];
}

interface Scope {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** `type:name:actions`, several in one parameter or in many. What cannot be read is not granted. */
export function parseScopes(parameters: readonly string[]): Scope[] {
  const text = parameters.join(' ');
  if (text.length > MAX_SCOPE_TEXT) throw new AppError('invalid', 'The scopes of the token request are too long.');
  const scopes: Scope[] = [];
  for (const item of text.split(' ').filter((part) => part !== '')) {
    const first = item.indexOf(':');
    const last = item.lastIndexOf(':');
    if (first < 1 || last <= first) continue;
    scopes.push({
      type: item.slice(0, first),
      name: item.slice(first + 1, last),
      actions: item
        .slice(last + 1)
        .split(',')
        .filter((action) => action !== ''),
    });
  }
  if (scopes.length > MAX_SCOPES) throw new AppError('invalid', `More than ${MAX_SCOPES} scopes were asked for.`);
  return scopes;
}

/** What of it the caller may do. The token is not the authority: it only spares clients a surprise. */
async function grant(context: ServiceContext, scopes: readonly Scope[]): Promise<TokenAccess[]> {
  const access: TokenAccess[] = [];
  for (const { type, name, actions } of scopes) {
    if (type === 'registry' && name === 'catalog') access.push({ type, name, actions: ['*'] });
    if (type !== 'repository') continue;
    const granted = await grantedActions(context, name, actions);
    if (granted.length > 0) access.push({ type, name, actions: granted });
  }
  return access;
}

async function grantedActions(context: ServiceContext, name: string, actions: readonly string[]): Promise<string[]> {
  const bound = context.bound;
  const slash = name.indexOf('/');
  const repo = bound ?? (slash > 0 ? await context.repository(name.slice(0, slash)) : undefined);
  if (!repo) return [];
  const image = joinPath(bound ? name : name.slice(slash + 1)) as RepoPath;
  const wanted = actions.includes('*') ? ['pull', 'push', 'delete'] : actions;
  return wanted.filter((action) => {
    if (action === 'pull') return repo.allows('read', image);
    if (action === 'push') return repo.allows('deploy', image);
    return action === 'delete' && repo.allows('delete', image);
  });
}
