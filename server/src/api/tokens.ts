/** Access tokens: those of the identity service, and its predecessor's way to ask for one. */

import { z } from 'zod';
import { type CreatedToken, createToken, listTokens, revokeToken } from '../auth/account-tokens.ts';
import type { AccountDeps } from '../auth/accounts.ts';
import type { Principals } from '../auth/principals.ts';
import { parseTokenScope, renderTokenScope } from '../auth/token-scopes.ts';
import { referenceTokenId, type Tokens } from '../auth/tokens.ts';
import { foldUserName } from '../auth/user-names.ts';
import { AppError, isAppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { isAdmin } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import { getToken, type TokenRow } from '../db/tokens.ts';
import { getUser } from '../db/users.ts';
import { type ApiRequest, bodyRoute, flag, READ, type Route, route } from './route.ts';

export interface TokenDeps {
  readonly accounts: AccountDeps;
  readonly tokens: Tokens;
  readonly principals: Principals;
}

const ALL = 'access/api/v1/tokens';
const LEGACY = 'artifactory/api/security/token';
const PAGE = 500;

/** Whole seconds, which forms send as text. */
const seconds = z.union([
  z.int(),
  z
    .string()
    .regex(/^\d{1,12}$/)
    .transform(Number),
]);

const tokenBody = z.object({
  grant_type: z.string().optional(),
  username: z.string().optional(),
  scope: z.string().optional(),
  expires_in: seconds.optional(),
  description: z.string().optional(),
  include_reference_token: flag.optional(),
});
type TokenBody = z.infer<typeof tokenBody>;

const revocationBody = z.object({ token: z.string().optional(), token_id: z.string().optional() });

export function tokenRoutes(deps: TokenDeps): readonly Route[] {
  return [
    bodyRoute({
      methods: ['POST'],
      pattern: ALL,
      right: 'user',
      body: tokenBody,
      form: true,
      async handle(request) {
        const created = await create(deps, request);
        return { status: 200, json: { token_id: created.tokenId, ...renderCreated(created) } };
      },
    }),
    route({ methods: READ, pattern: ALL, right: 'user', handle: (request) => list(deps, request, (row) => row) }),
    bodyRoute({
      methods: ['DELETE', 'POST'],
      pattern: `${ALL}/revoke`,
      right: 'user',
      body: revocationBody,
      form: true,
      async handle({ body, caller }) {
        const id = await tokenIdOf(deps, body);
        await revokeToken(deps.accounts, id, caller.principal);
        return { status: 200, json: { revoked_token_id: id } };
      },
    }),
    route({ methods: READ, pattern: `${ALL}/{id}`, right: 'user', handle: (request) => get(deps, request) }),
    route({
      methods: ['DELETE'],
      pattern: `${ALL}/{id}`,
      right: 'user',
      async handle(request) {
        await revokeToken(deps.accounts, idOf(request), request.caller.principal);
        return { status: 200 };
      },
    }),
    ...legacyRoutes(deps),
  ];
}

function legacyRoutes(deps: TokenDeps): readonly Route[] {
  const renderFailure = (error: AppError, status: number) => ({
    error: status === 401 ? 'invalid_client' : status === 403 ? 'unauthorized_client' : 'invalid_request',
    error_description: error.message,
  });
  return [
    bodyRoute({
      methods: ['POST'],
      pattern: LEGACY,
      right: 'user',
      body: tokenBody,
      form: true,
      renderFailure,
      async handle(request) {
        const { username: _, ...json } = renderCreated(await create(deps, request));
        return { status: 200, json };
      },
    }),
    route({
      methods: READ,
      pattern: LEGACY,
      right: 'admin',
      handle: (request) => list(deps, request, ({ description: _, scope: __, last_used: ___, ...legacy }) => legacy),
    }),
    bodyRoute({
      methods: ['POST'],
      pattern: `${LEGACY}/revoke`,
      right: 'user',
      body: revocationBody,
      form: true,
      renderFailure,
      async handle({ body, caller }) {
        try {
          await revokeToken(deps.accounts, await tokenIdOf(deps, body), caller.principal);
          return { status: 200, text: 'Token revoked' };
        } catch (error) {
          if (isAppError(error, 'not_found')) return { status: 200, text: 'Token not found' };
          throw error;
        }
      },
    }),
  ];
}

async function create(deps: TokenDeps, { body, caller }: ApiRequest<TokenBody>): Promise<CreatedToken> {
  const { principal, credential } = caller;
  if ((body.grant_type ?? 'client_credentials') !== 'client_credentials') {
    throw new AppError(
      'invalid',
      `The grant type "${clip(body.grant_type ?? '')}" is not offered: ask for a new token.`,
    );
  }
  const { scope, needsAdmin } = parseTokenScope(body.scope ?? '');
  if (needsAdmin) {
    const owner = body.username ?? (principal.kind === 'user' ? principal.name : '');
    const account = await deps.principals.getAccountByName(foldUserName(owner) ?? '');
    if (!isAdmin(principal) || !account?.principal.admin) {
      throw new AppError('forbidden', 'Only an administrator can have a token with the rights of one.');
    }
  }
  return createToken(
    deps.accounts,
    {
      userName: body.username,
      scope,
      description: body.description,
      expiresInSeconds: body.expires_in,
      reference: body.include_reference_token ?? false,
      parentTokenId: credential?.tokenId,
    },
    principal,
  );
}

function renderCreated(created: CreatedToken) {
  return {
    access_token: created.accessToken,
    ...(created.referenceToken !== undefined && { reference_token: created.referenceToken }),
    ...(created.expiresInSeconds !== undefined && { expires_in: created.expiresInSeconds }),
    scope: renderTokenScope(created.scope),
    token_type: 'Bearer',
    username: created.userName,
  };
}

/** The caller's own or, for an administrator, everybody's; sent as they are read. */
async function list(
  deps: TokenDeps,
  { query, caller }: ApiRequest,
  shown: (token: ReturnType<typeof renderToken>) => unknown,
): Promise<Reply> {
  const { accounts, tokens } = deps;
  const userName = query.get('username') ?? undefined;
  const description = query.get('description');
  async function* pieces() {
    let first = true;
    yield '{"tokens":[';
    for (let after = ''; ; ) {
      const page = await listTokens(accounts, { userName, after, limit: PAGE }, caller.principal);
      for (const row of page) {
        if (description !== null && row.description !== description) continue;
        yield `${first ? '' : ','}${JSON.stringify(shown(renderToken(tokens, row, row.userName)))}`;
        first = false;
      }
      after = page.at(-1)?.id ?? '';
      if (page.length < PAGE) break;
    }
    yield ']}';
  }
  return { status: 200, pieces: pieces(), headers: { 'Content-Type': 'application/json' } };
}

async function get({ accounts, tokens }: TokenDeps, request: ApiRequest): Promise<Reply> {
  const { principal } = request.caller;
  const id = idOf(request);
  const found = await accounts.database.read(async (db) => {
    const row = await getToken(db, id);
    const owner = row && (await getUser(db, row.userId));
    return row && owner && { row, owner };
  });
  const isOwn = principal.kind === 'user' && found?.row.userId === principal.id;
  if (!found || !(isOwn || isAdmin(principal))) throw new AppError('not_found', `There is no token "${clip(id)}".`);
  return { status: 200, json: renderToken(tokens, found.row, found.owner.name) };
}

function renderToken(tokens: Tokens, row: TokenRow, userName: string) {
  return {
    token_id: row.id,
    subject: tokens.subjectOf(userName),
    ...(row.expiresAt !== undefined && { expiry: Math.floor(row.expiresAt / 1000) }),
    issued_at: Math.floor(row.createdAt / 1000),
    issuer: tokens.issuer,
    description: row.description,
    refreshable: false,
    scope: renderTokenScope(row.scope),
    last_used: Math.floor((row.lastUsedAt ?? 0) / 1000),
  };
}

/** The id in the address; `me` is the token the caller shows. */
function idOf({ params, caller }: ApiRequest): string {
  const id = params['id'] ?? '';
  if (id !== 'me') return id;
  const { tokenId } = caller.credential ?? {};
  if (tokenId === undefined) throw new AppError('not_found', 'This request was not made with a token.');
  return tokenId;
}

async function tokenIdOf(deps: TokenDeps, body: z.infer<typeof revocationBody>): Promise<string> {
  if (body.token_id !== undefined) return body.token_id;
  const text = body.token ?? '';
  const id = referenceTokenId(text) ?? (await deps.tokens.verifyAccess(text))?.tokenId;
  if (id === undefined) throw new AppError('not_found', 'This is no token of this server.');
  return id;
}
