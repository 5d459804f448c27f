/** What npm's clients do with accounts: signing in, in the terminal or in a browser, tokens, and who they are. */
import { randomBytes } from 'node:crypto';
import { readAll } from '../../core/bodies.ts';
import { AppError, isAppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import type { OwnAccount, ProtocolRequest, Reply, Route, ServiceContext } from '../../core/protocol.ts';
import { parseJson } from '../../lib/json.ts';
import { recordOf } from './release.ts';
import { signInPage } from './sign-in-page.ts';

const MAX_BODY = 64 * 1024;
const MAX_PASSWORD = 1024;
const MAX_DAYS = 366;
const USER_PREFIX = 'org.couchdb.user:';
const NO_STORE = { 'Cache-Control': 'no-store' };
/** How long a sign-in in the browser may take, and how often the terminal asks for it. */
const WEB_LOGIN_MS = 5 * 60_000;
const ASK_AGAIN_SECONDS = 1;
const CODE = /^([0-9a-z]{6,12})-[A-Za-z0-9_-]{43}$/;

export const ACCOUNT_ROUTES: readonly Route<ServiceContext>[] = [
  { methods: ['GET', 'HEAD'], pattern: 'ping', handle: async () => ({ status: 200, json: {} }) },
  { methods: ['GET', 'HEAD'], pattern: 'whoami', handle: whoAmI },
  { methods: ['POST'], pattern: 'v1/login', handle: startWebLogin },
  { methods: ['GET', 'POST'], pattern: 'v1/login/{code}', handle: webLogin },
  { methods: ['GET'], pattern: 'v1/done/{code}', handle: endWebLogin },
  { methods: ['DELETE'], pattern: 'user/token/{token...}', handle: logOut },
  { methods: ['PUT'], pattern: 'user/{id}', handle: logIn },
  { methods: ['PUT'], pattern: 'user/{id}/-rev/{rev}', handle: logIn },
  { methods: ['GET', 'HEAD'], pattern: 'user/{id}', handle: getUser },
  { methods: ['GET', 'POST'], pattern: 'npm/v1/user', handle: profile },
  { methods: ['GET'], pattern: 'npm/v1/tokens', handle: listTokens },
  { methods: ['POST'], pattern: 'npm/v1/tokens', handle: createToken },
  { methods: ['DELETE'], pattern: 'npm/v1/tokens/token/{key...}', handle: deleteToken },
];

function requireAccount({ account }: ServiceContext): OwnAccount {
  if (account) return account;
  throw new AppError('unauthenticated', 'You are not signed in. Run "npm login" for this registry first.');
}

async function whoAmI(_request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  return { status: 200, json: { username: requireAccount(context).name }, headers: NO_STORE };
}

/** The older way: name and password come in a document. */
async function logIn(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const id = request.params['id'] ?? '';
  const { name, password } = recordOf(await readBody(request));
  if (typeof name !== 'string' || typeof password !== 'string' || id !== USER_PREFIX + name) {
    throw new AppError(
      'invalid',
      'The name in the document is not the one in the address, or the password is missing.',
    );
  }
  if (Buffer.byteLength(password) > MAX_PASSWORD) {
    throw new AppError('invalid', `A password cannot be longer than ${MAX_PASSWORD} bytes.`);
  }
  const account = requireAccount(await signIn(context, name, password));
  const { token } = await account.createToken(describeClient(request));
  return { status: 201, json: { ok: true, id, rev: '1-0', token }, headers: NO_STORE };
}

async function signIn(context: ServiceContext, name: string, password: string): Promise<ServiceContext> {
  try {
    return await context.signIn(name, password);
  } catch (error) {
    if (!isAppError(error, 'unauthenticated')) throw error;
    throw new AppError('unauthenticated', 'The user name or the password is wrong.', { badCredentials: true });
  }
}

function describeClient({ headers }: ProtocolRequest): string {
  return `npm login${headers['user-agent'] === undefined ? '' : `, ${clip(headers['user-agent'], 100)}`}`;
}

async function getUser(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const account = requireAccount(context);
  const name = (request.params['id'] ?? '').replace(USER_PREFIX, '');
  // Of others no more is told than what was asked with: clients need a name and an address to write an owner down.
  const email = name === account.name ? (await account.facts()).email : '';
  return { status: 200, json: { _id: USER_PREFIX + name, name, email, type: 'user', roles: [] }, headers: NO_STORE };
}

async function profile(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const account = requireAccount(context);
  if (request.method === 'POST') {
    throw new AppError('not_supported', 'Profiles are changed in the settings of this server, not by npm.');
  }
  const { email, createdAt, updatedAt } = await account.facts();
  return {
    status: 200,
    json: {
      tfa: false,
      name: account.name,
      email,
      email_verified: email !== '',
      created: createdAt.toISOString(),
      updated: updatedAt.toISOString(),
    },
    headers: NO_STORE,
  };
}

async function listTokens(_request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const tokens = await requireAccount(context).tokens();
  const objects = tokens.map(({ id, description, createdAt, readOnly }) => ({
    key: id,
    token: id.slice(0, 6),
    name: description,
    created: createdAt.toISOString(),
    updated: createdAt.toISOString(),
    readonly: readOnly,
    cidr_whitelist: null,
  }));
  return { status: 200, json: { objects, total: objects.length, urls: { next: null } }, headers: NO_STORE };
}

async function createToken(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const own = requireAccount(context);
  const wanted = recordOf(await readBody(request));
  const { password, name, description } = wanted;
  if (typeof password !== 'string' || password.length > MAX_PASSWORD) {
    throw new AppError('invalid', 'A token is made with the password of the account.');
  }
  const readOnly = isReadOnly(wanted);
  const days = expiryOf(wanted['expires']);
  const account = requireAccount(await signIn(context, own.name, password));
  const words = [name, description].filter((word) => typeof word === 'string' && word !== '');
  const { id, token } = await account.createToken(clip(words.join(', '), 200) || 'npm token', {
    readOnly,
    ...(days !== undefined && { expiresInSeconds: days * 86_400 }),
  });
  const now = new Date();
  const until = days !== undefined && { expires: new Date(now.getTime() + days * 86_400_000).toISOString() };
  const at = now.toISOString();
  return {
    status: 200,
    json: { key: id, token, created: at, updated: at, readonly: readOnly, cidr_whitelist: [], ...until },
    headers: NO_STORE,
  };
}

/** Whether the token is to be for reading only; refuses what it cannot be narrowed to. */
function isReadOnly(wanted: Readonly<Record<string, unknown>>): boolean {
  const { readonly, packages_and_scopes_permission: permission = null } = wanted;
  const narrower = ['cidr_whitelist', 'packages', 'scopes', 'orgs'].some((key) => {
    const value = wanted[key] ?? [];
    return !Array.isArray(value) || value.length > 0;
  });
  if (narrower || ![null, 'read-only', 'read-write'].includes(permission as string)) {
    throw new AppError(
      'not_supported',
      'Tokens for some packages or addresses only are made in the settings of this server.',
    );
  }
  return readonly === true || permission === 'read-only';
}

/** In days. */
function expiryOf(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= MAX_DAYS) return value;
  throw new AppError('invalid', `A token lives for a whole number of days, from 1 to ${MAX_DAYS}.`);
}

async function deleteToken(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  await requireAccount(context).revokeToken(request.params['key'] ?? '');
  return { status: 204 };
}

/** Signing out: the token that is given back, which is in the address. */
async function logOut(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  await requireAccount(context).revokeToken(request.params['token'] ?? '');
  return { status: 200, json: { ok: true } };
}

/** The terminal gets two addresses: one for a browser, and one to ask whether its user has signed in there. */
async function startWebLogin(request: ProtocolRequest, { links }: ServiceContext): Promise<Reply> {
  request.body.resume();
  const code = `${(Date.now() + WEB_LOGIN_MS).toString(36)}-${randomBytes(32).toString('base64url')}`;
  const base = `${links.origin}${links.mount}/v1`;
  return {
    status: 200,
    json: { loginUrl: `${base}/login/${code}`, doneUrl: `${base}/done/${code}` },
    headers: NO_STORE,
  };
}

async function webLogin(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const code = requireCode(request);
  const host = context.links.origin.replace(/^https?:\/\//, '');
  if (request.method === 'GET') return signInPage({ host, state: 'asked' });
  const form = new URLSearchParams((await readAll(request.body, { limit: MAX_BODY, what: 'form' })).toString('utf8'));
  const [name, password] = [form.get('username') ?? '', form.get('password') ?? ''];
  if (Buffer.byteLength(password) > MAX_PASSWORD) return signInPage({ host, state: 'wrong' });
  try {
    await requireAccount(await context.signIn(name, password)).approveSignIn(code);
  } catch (error) {
    if (isAppError(error, 'unauthenticated')) return signInPage({ host, state: 'wrong' });
    if (isAppError(error, 'conflict') || isAppError(error, 'rate_limited')) {
      return signInPage({ host, state: 'refused', why: error.message });
    }
    throw error;
  }
  return signInPage({ host, state: 'done' });
}

async function endWebLogin(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const account = await context.approvedSignIn(requireCode(request));
  if (!account) {
    return { status: 202, json: {}, headers: { ...NO_STORE, 'Retry-After': String(ASK_AGAIN_SECONDS) } };
  }
  const { token } = await account.createToken(describeClient(request));
  return { status: 200, json: { token }, headers: NO_STORE };
}

function requireCode({ params }: ProtocolRequest): string {
  const code = params['code'] ?? '';
  const [, until = '0'] = CODE.exec(code) ?? [];
  const left = Number.parseInt(until, 36) - Date.now();
  if (left > 0 && left <= WEB_LOGIN_MS) return code;
  throw new AppError('not_found', 'This sign-in has run out of time. Run "npm login" again.');
}

async function readBody(request: ProtocolRequest): Promise<unknown> {
  const bytes = await readAll(request.body, { limit: MAX_BODY, what: 'document' });
  const parsed = parseJson(bytes, { maxDepth: 20 });
  if ('problem' in parsed) throw new AppError('invalid', `The document cannot be read: ${parsed.problem}.`);
  return parsed.value;
}
