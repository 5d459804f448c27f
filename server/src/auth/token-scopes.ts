/** The text form of what a token narrows its holder to, as Artifactory writes it. */

import { compileAntPattern } from '../core/ant-pattern.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Action, TokenScope } from '../core/principal.ts';

/** Scope of a token that acts with all the rights of its owner. */
const WHOLE_USER = 'applied-permissions/user';
const MAX_TEXT = 500;
const MAX_ENTRIES = 100;

const LETTERS: ReadonlyMap<string, Action> = new Map([
  ['r', 'read'],
  ['n', 'annotate'],
  ['a', 'annotate'],
  ['w', 'deploy'],
  ['d', 'delete'],
  ['m', 'manage'],
]);
const LETTER_OF: Readonly<Record<Action, string>> = { read: 'r', annotate: 'a', deploy: 'w', delete: 'd', manage: 'm' };
const ALL: readonly Action[] = ['read', 'annotate', 'deploy', 'delete', 'manage'];

export interface ParsedScope {
  /** Undefined when the token has all the rights of its owner. */
  readonly scope: TokenScope | undefined;
  /** Whether only an administrator may own such a token. */
  readonly needsAdmin: boolean;
}

/**
 * Takes space-separated scope tokens: `applied-permissions/user`, `applied-permissions/admin`, `api:*`,
 * `member-of-groups:*` and `artifact:<repo|*>[/<pattern>]:<letters|*>`. Refuses others as `invalid`: a scope that is
 * not understood must not widen a token.
 */
export function parseTokenScope(text: string): ParsedScope {
  if (text.length > MAX_TEXT) throw new AppError('invalid', `The scope is longer than ${MAX_TEXT} characters.`);
  const tokens = text.split(' ').filter((token) => token !== '');
  const narrow: TokenScope[number][] = [];
  let whole = tokens.length === 0;
  let needsAdmin = false;
  for (const token of tokens) {
    if (token === WHOLE_USER || token === 'member-of-groups:*') whole = true;
    else if (token === 'applied-permissions/admin') whole = needsAdmin = true;
    else if (token.startsWith('artifact:')) narrow.push(parseArtifactScope(token));
    else if (token !== 'api:*') throw unknownScope(token);
  }
  if (tokens.length > 0 && narrow.length === 0) whole = true;
  return { scope: whole ? undefined : narrow, needsAdmin };
}

/** The inverse of `parseTokenScope`, up to the order of letters. */
export function renderTokenScope(scope: TokenScope | undefined): string {
  if (!scope) return WHOLE_USER;
  const parts = scope.flatMap((entry) =>
    entry.repos.flatMap((repo) => entry.paths.map((path) => renderArtifactScope(entry.actions, repo, path))),
  );
  return parts.join(' ');
}

/** Refuses, as `invalid`, a scope whose patterns cannot be compiled or that is too long to check at each request. */
export function requireUsableScope(scope: TokenScope): void {
  const size = scope.reduce((sum, entry) => sum + entry.repos.length + entry.paths.length, 0);
  if (size > MAX_ENTRIES) {
    throw new AppError('invalid', `The scope names more than ${MAX_ENTRIES} repositories and paths.`);
  }
  for (const entry of scope) for (const path of entry.paths) compileAntPattern(path);
}

function parseArtifactScope(token: string): TokenScope[number] {
  const rest = token.slice('artifact:'.length);
  const colon = rest.lastIndexOf(':');
  const place = rest.slice(0, Math.max(colon, 0));
  const slash = place.indexOf('/');
  const repo = slash === -1 ? place : place.slice(0, slash);
  const path = slash === -1 ? '**' : place.slice(slash + 1);
  if (colon <= 0 || repo === '' || path === '') throw unknownScope(token);
  compileAntPattern(path);
  return { actions: parseLetters(rest.slice(colon + 1), token), repos: [repo], paths: [path] };
}

function parseLetters(text: string, token: string): readonly Action[] {
  if (text === '*') return ALL;
  const actions = new Set<Action>();
  for (const letter of text.split(',')) {
    const action = LETTERS.get(letter);
    // Rights this server does not have, to distribute and to manage scans, widen nothing.
    if (action) actions.add(action);
    else if (letter !== 'x' && letter !== 's') throw unknownScope(token);
  }
  return [...actions];
}

function renderArtifactScope(actions: readonly Action[], repo: string, path: string): string {
  const letters = actions.length === ALL.length ? '*' : actions.map((action) => LETTER_OF[action]).join(',');
  return `artifact:${repo}${path === '**' ? '' : `/${path}`}:${letters}`;
}

function unknownScope(token: string): AppError {
  return new AppError(
    'invalid',
    `The scope "${clip(token)}" is not understood. Use "${WHOLE_USER}" or "artifact:<repository>/<pattern>:r,w,d".`,
  );
}
