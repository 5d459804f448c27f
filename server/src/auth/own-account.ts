/** What callers may know and do of their own accounts, for protocols that have accounts of their own. */
import { createHash } from 'node:crypto';
import { AppError } from '../core/errors.ts';
import type { Principal, TokenScope } from '../core/principal.ts';
import type { OwnAccount } from '../core/protocol.ts';
import { createToken as createTokenRow, deleteToken, getToken } from '../db/tokens.ts';
import { getUser } from '../db/users.ts';
import { createToken, listTokens, MAX_TOKEN_SECONDS, revokeToken } from './account-tokens.ts';
import { type AccountDeps, now } from './accounts.ts';
import type { Authentication } from './authenticator.ts';
import { badCredentials } from './principals.ts';
import { referenceTokenId } from './tokens.ts';

/** How long a sign-in that was approved waits for the client that asked for it. */
const APPROVAL_MS = 5 * 60_000;

/** The account of the caller; undefined for callers without one. */
export function ownAccount(
  deps: AccountDeps,
  { principal, credential }: Pick<Authentication, 'principal' | 'credential'>,
): OwnAccount | undefined {
  if (principal.kind !== 'user') return undefined;
  const parentTokenId = credential?.tokenId;
  return {
    name: principal.name,
    async facts() {
      const user = await deps.database.read((db) => getUser(db, principal.id));
      if (!user) throw badCredentials();
      return { email: user.email ?? '', createdAt: new Date(user.createdAt), updatedAt: new Date(user.createdAt) };
    },
    async createToken(description, { expiresInSeconds = MAX_TOKEN_SECONDS, readOnly = false } = {}) {
      const scope = readOnly ? readingOf(principal.scope) : undefined;
      const wanted = { description, expiresInSeconds, scope, reference: true, signed: false };
      const { tokenId, referenceToken = '' } = await createToken(deps, { ...wanted, parentTokenId }, principal);
      return { id: tokenId, token: referenceToken };
    },
    async tokens() {
      const rows = await listTokens(deps, { userName: principal.name }, principal);
      return rows.map(({ id, description, createdAt, scope }) => ({
        id,
        description,
        createdAt: new Date(createdAt),
        readOnly: scope?.every(({ actions }) => actions.every((action) => action === 'read')) ?? false,
      }));
    },
    async revokeToken(token) {
      const id = referenceTokenId(token) ?? (await deps.tokens.verifyAccess(token))?.tokenId ?? token;
      const row = await deps.database.read((db) => getToken(db, id));
      if (row?.userId !== principal.id) throw new AppError('not_found', 'You have no such token.');
      await revokeToken(deps, id, principal);
    },
    approveSignIn: (code) => approve(deps, principal, code),
  };
}

/** As much of it as is for reading; without a scope everything. */
function readingOf(scope: TokenScope = [{ actions: ['read'], repos: ['*'], paths: ['**'] }]): TokenScope {
  return scope
    .filter(({ actions }) => actions.includes('read'))
    .map((entry) => ({ ...entry, actions: ['read'] as const }));
}

/** A row that no client can show as a token, which every node sees; the code itself is not stored. */
async function approve(deps: AccountDeps, by: Extract<Principal, { kind: 'user' }>, code: string): Promise<void> {
  const at = now(deps);
  const row = {
    id: approvalId(code),
    userId: by.id,
    kind: 'reference' as const,
    secret: undefined,
    scope: by.scope,
    description: 'a sign-in that was approved and not yet used',
    createdAt: at,
    expiresAt: at + APPROVAL_MS,
  };
  if (await deps.database.transaction((tx) => createTokenRow(tx, row))) return;
  throw new AppError('conflict', 'This sign-in was approved already. Go back to your terminal, or start again there.');
}

/** The account that approved the code, which is used up by asking. */
export async function approvedSignIn(deps: AccountDeps, code: string): Promise<OwnAccount | undefined> {
  const id = approvalId(code);
  const pending = await deps.database.read((db) => getToken(db, id));
  if (!pending) return undefined;
  const row = await deps.database.transaction(async (tx) => {
    const found = await getToken(tx, id);
    if (found) await deleteToken(tx, id);
    return found;
  });
  if (!row || (row.expiresAt ?? 0) <= now(deps)) return undefined;
  const account = await deps.principals.getAccount(row.userId);
  if (!account) return undefined;
  const principal = row.scope ? { ...account.principal, scope: row.scope } : account.principal;
  return ownAccount(deps, { principal });
}

function approvalId(code: string): string {
  return `sign-in-${createHash('sha256').update(code).digest('hex').slice(0, 40)}`;
}
