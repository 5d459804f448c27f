/** What is done to tokens: made, listed and revoked by their owners and by administrators. */
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { isAdmin, type Principal, type TokenScope } from '../core/principal.ts';
import { afterCommit } from '../db/database.ts';
import {
  createToken as createTokenRow,
  deleteToken,
  getToken,
  listTokens as listTokenRows,
  type TokenRow,
} from '../db/tokens.ts';
import { getUser, getUserByName } from '../db/users.ts';
import { type AccountDeps, change, now, unknownUser } from './accounts.ts';
import { badCredentials } from './principals.ts';
import { requireUsableScope } from './token-scopes.ts';
import { foldUserName } from './user-names.ts';

export interface TokenRequest {
  /** Whose token; the caller's own by default. Only an administrator makes others'. */
  readonly userName?: string | undefined;
  readonly scope?: TokenScope | undefined;
  readonly description?: string | undefined;
  /** 0 makes a token that does not expire, for administrators only. */
  readonly expiresInSeconds?: number | undefined;
  /** Whether the short form is made too; the default is the signed form alone. */
  readonly reference?: boolean;
  readonly signed?: boolean;
  /** The token the caller authenticated with: what is made of it lives no longer. */
  readonly parentTokenId?: string | undefined;
}

export interface CreatedToken {
  readonly tokenId: string;
  readonly userName: string;
  readonly accessToken?: string;
  readonly referenceToken?: string;
  readonly scope: TokenScope | undefined;
  /** Undefined for a token that does not expire. */
  readonly expiresInSeconds: number | undefined;
}

export const DEFAULT_TOKEN_SECONDS = 3600;
/** The longest life of a token that is made without an administrator. */
export const MAX_TOKEN_SECONDS = 366 * 86_400;

const MAX_DESCRIPTION = 1024;
const MAX_LIST = 1000;
const MAX_SECONDS = 100 * 365 * 86_400;

/**
 * Makes a token for the caller or, as an administrator, for another user. It never gives more than the caller has: a
 * narrowed caller makes only tokens narrowed in the same way, and none outlives the one it was made with.
 */
export async function createToken(deps: AccountDeps, request: TokenRequest, by: Principal): Promise<CreatedToken> {
  if (by.kind !== 'user') throw new AppError('unauthenticated', 'Authentication is required to make a token.');
  const owner = await deps.database.read((db) => getUserByName(db, foldUserName(request.userName ?? by.name) ?? ''));
  if (owner?.id !== by.id && !isAdmin(by)) {
    throw new AppError('forbidden', 'Only an administrator may make a token for another user.');
  }
  if (!owner?.enabled) throw unknownUser(request.userName ?? by.name);
  const scope = request.scope ?? by.scope;
  if (scope) requireUsableScope(scope);
  if (by.scope && !isWithin(scope ?? [], by.scope)) {
    throw new AppError('forbidden', 'A token cannot be used to make one that may do more than itself.');
  }
  const description = request.description ?? '';
  if (description.length > MAX_DESCRIPTION) {
    throw new AppError('invalid', `The description is longer than ${MAX_DESCRIPTION} characters.`);
  }
  const expiresInSeconds = await lifeOf(deps, request, by);
  const wanted = { user: owner, scope, description, expiresInSeconds };
  const forms = { signed: request.signed ?? true, reference: request.reference ?? false };
  if (!forms.signed && !forms.reference) throw new AppError('invalid', 'A token needs at least one form.');
  const prepared = await deps.tokens.prepare({ ...wanted, ...forms });
  await change(deps, by, async (tx, append) => {
    if (!(await getUser(tx, owner.id))?.enabled) throw unknownUser(owner.name);
    if (!(await createTokenRow(tx, prepared.row))) {
      throw new AppError('conflict', 'The token could not be made this time. Try again.');
    }
    await append('token.created', prepared.row.id);
  });
  const { accessToken, referenceToken } = prepared;
  return {
    tokenId: prepared.row.id,
    userName: owner.name,
    scope,
    expiresInSeconds,
    ...(accessToken !== undefined && { accessToken }),
    ...(referenceToken !== undefined && { referenceToken }),
  };
}

/** The caller's own tokens, or as an administrator those of a user or of all; by id, in pages. */
export async function listTokens(
  deps: AccountDeps,
  request: { readonly userName?: string | undefined; readonly after?: string | undefined; readonly limit?: number },
  by: Principal,
): Promise<readonly (TokenRow & { readonly userName: string })[]> {
  if (by.kind !== 'user') throw new AppError('unauthenticated', 'Authentication is required to list tokens.');
  return deps.database.read(async (db) => {
    const named =
      request.userName === undefined ? undefined : await getUserByName(db, foldUserName(request.userName) ?? '');
    if (request.userName !== undefined && !named) return [];
    if (!isAdmin(by) && named && named.id !== by.id) return [];
    const userId = isAdmin(by) ? named?.id : by.id;
    return listTokenRows(db, { userId, after: request.after, limit: Math.min(request.limit ?? MAX_LIST, MAX_LIST) });
  });
}

/** Revokes a token of the caller's or, as an administrator, any; `not_found` also for one the caller may not know. */
export async function revokeToken(deps: AccountDeps, id: string, by: Principal): Promise<void> {
  await change(deps, by, async (tx, append) => {
    const row = await getToken(tx, id);
    if (!row || by.kind !== 'user' || (row.userId !== by.id && !isAdmin(by))) {
      throw new AppError('not_found', `There is no token "${clip(id)}".`);
    }
    await deleteToken(tx, id);
    afterCommit(tx, () => deps.principals.invalidate());
    await append('token.revoked', id);
  });
}

/** Whether each entry of a scope lies within one entry of another; patterns count as within only if they are equal. */
function isWithin(inner: TokenScope, outer: TokenScope): boolean {
  return inner.every((entry) =>
    outer.some(
      (bound) =>
        entry.actions.every((action) => bound.actions.includes(action)) &&
        entry.repos.every((repo) => bound.repos.includes('*') || bound.repos.includes(repo)) &&
        entry.paths.every((path) => bound.paths.includes('**') || bound.paths.includes(path)),
    ),
  );
}

async function lifeOf(deps: AccountDeps, request: TokenRequest, by: Principal): Promise<number | undefined> {
  const asked = request.expiresInSeconds ?? DEFAULT_TOKEN_SECONDS;
  if (!Number.isSafeInteger(asked) || asked < 0 || asked > MAX_SECONDS) {
    throw new AppError('invalid', 'The life of a token must be a whole number of seconds, 0 or more.');
  }
  if (!isAdmin(by) && (asked === 0 || asked > MAX_TOKEN_SECONDS)) {
    throw new AppError(
      'forbidden',
      `Only an administrator may make a token that lives longer than ${MAX_TOKEN_SECONDS} seconds.`,
    );
  }
  const life = asked === 0 ? undefined : asked;
  if (request.parentTokenId === undefined) return life;
  const parentId = request.parentTokenId;
  const parent = await deps.database.read((db) => getToken(db, parentId));
  if (!parent) throw badCredentials();
  if (parent.expiresAt === undefined) return life;
  const left = Math.floor((parent.expiresAt - now(deps)) / 1000);
  if (left <= 0) throw badCredentials();
  return Math.min(life ?? left, left);
}
