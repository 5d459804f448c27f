/** Who acts, and what acting means. */
import type { RepoKey, RepoPath } from './ids.ts';

export const ACTIONS = ['read', 'annotate', 'deploy', 'delete', 'manage'] as const;
export type Action = (typeof ACTIONS)[number];

/** What a token narrows its holder to; it never adds rights. `*` stands for every repository. */
export type TokenScope = readonly {
  readonly actions: readonly Action[];
  readonly repos: readonly string[];
  readonly paths: readonly string[];
}[];

export type Principal =
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'user';
      readonly id: string;
      readonly name: string;
      readonly groups: readonly string[];
      readonly admin: boolean;
      readonly scope?: TokenScope;
    };

export const ANONYMOUS: Principal = { kind: 'anonymous' };

/** Permission targets compiled once per change; the check is a pure function. */
export interface Permissions {
  allows(principal: Principal, action: Action, repo: RepoKey, path: RepoPath): boolean;
}

export function nameOf(principal: Principal): string {
  return principal.kind === 'anonymous' ? 'anonymous' : principal.name;
}

/** Whether somebody is an administrator, and not by a token of narrower scope. */
export function isAdmin(principal: Principal): boolean {
  return principal.kind === 'user' && principal.admin && !principal.scope;
}
