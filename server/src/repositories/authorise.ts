/** The one door to a leaf repository: every read and write asks whether this caller may. */

import { AppError } from '../core/errors.ts';
import type { Format } from '../core/format.ts';
import { joinPath, type RepoKey, type RepoPath } from '../core/ids.ts';
import { type Action, nameOf, type Principal } from '../core/principal.ts';
import { isEverything, type ReadRule } from '../core/read-rule.ts';
import type { Entry, Page, Repository } from '../core/repository.ts';
import { byBytes } from '../lib/by-bytes.ts';
import { traceStep } from '../lib/trace.ts';
import type { Access, LeafRepository } from './leaf.ts';

/** The decisions of the permission targets, as this folder needs them. */
export interface PermissionChecks {
  allows(principal: Principal, action: Action, repo: RepoKey, path: RepoPath): boolean;
  mayList(principal: Principal, repo: RepoKey, folder: RepoPath): boolean;
  /** Whether the right is given for any path of the repository. */
  mayAnywhere(principal: Principal, action: Action, repo: RepoKey): boolean;
  readablePrefixes(principal: Principal, repo: RepoKey): readonly string[];
  /** In sentences, what decides whether the action is allowed. */
  explain(principal: Principal, action: Action, repo: RepoKey, path: RepoPath): readonly string[];
  /** What may be read, as data; undefined for nothing. */
  readRule(principal: Principal, repo: RepoKey): ReadRule | undefined;
}

export interface AccessOptions {
  /** Answers "not found" where the caller may not know that something is there. */
  readonly hideUnauthorized: boolean;
}

/** What the principal may do in the repository. */
export function accessOf(
  checks: PermissionChecks,
  principal: Principal,
  repo: RepoKey,
  options: AccessOptions,
): Access {
  return new Permitted(checks, principal, repo, options);
}

class Permitted implements Access {
  readonly #checks: PermissionChecks;
  readonly #principal: Principal;
  readonly #repo: RepoKey;
  readonly #options: AccessOptions;

  constructor(checks: PermissionChecks, principal: Principal, repo: RepoKey, options: AccessOptions) {
    this.#checks = checks;
    this.#principal = principal;
    this.#repo = repo;
    this.#options = options;
  }

  get principalName(): string {
    return nameOf(this.#principal);
  }

  get mayWrite(): boolean {
    return this.#checks.mayAnywhere(this.#principal, 'deploy', this.#repo);
  }

  get readsAll(): boolean {
    const rule = this.#checks.readRule(this.#principal, this.#repo);
    return rule !== undefined && isEverything(rule);
  }

  get readablePrefixes(): readonly string[] {
    return this.#checks.readablePrefixes(this.#principal, this.#repo);
  }

  allows(action: Action, path: RepoPath): boolean {
    return this.#checks.allows(this.#principal, action, this.#repo, path);
  }

  require(action: Action, path: RepoPath): void {
    if (this.allows(action, path)) return;
    for (const step of this.#checks.explain(this.#principal, action, this.#repo, path)) traceStep(step, 'admin');
    throw refusal(this.#principal, action, this.#repo, path, this.#options);
  }

  mayList(folder: RepoPath): boolean {
    return this.#checks.mayList(this.#principal, this.#repo, folder);
  }
}

function refusal(
  principal: Principal,
  action: Action,
  repo: RepoKey,
  path: RepoPath,
  options: AccessOptions,
): AppError {
  if (principal.kind === 'anonymous') return new AppError('unauthenticated', 'Authentication is required.', { action });
  if (action === 'read' && options.hideUnauthorized) return new AppError('not_found', 'Unable to find item.');
  const what = ACTION_TEXT[action];
  return new AppError(
    'forbidden',
    `The user "${principal.name}" may not ${what} "${joinPath(repo, path)}". Ask an administrator for the right to ${action}.`,
    { action },
  );
}

const ACTION_TEXT: Readonly<Record<Action, string>> = {
  read: 'read',
  annotate: 'change properties of',
  deploy: 'deploy to',
  delete: 'delete or overwrite',
  manage: 'manage',
};

/** Binds a leaf to what one caller may do. */
export function authorise(leaf: LeafRepository, access: Access, format: Format | undefined): Repository {
  const readable = (path: RepoPath) => access.allows('read', path);
  /** Nothing, where the caller may not know; an error, where it may be told why. */
  const hidden = (path: RepoPath): undefined => {
    try {
      access.require('read', path);
    } catch (error) {
      if (error instanceof AppError && error.code === 'not_found') return undefined;
      throw error;
    }
    return undefined;
  };
  const packageFolder = (name: string) => format?.folderOf?.(name) ?? (name as RepoPath);
  return {
    key: leaf.key,
    packageType: leaf.packageType,
    rclass: leaf.rclass,
    settings: leaf.settings,
    deploysTo: leaf.rclass === 'remote' ? undefined : leaf.key,
    allows: (action, path) => access.allows(action, path),
    require: (action, path) => access.require(action, path),
    async serve(wanted, purpose) {
      const folder = 'path' in wanted ? wanted.path : packageFolder(wanted.package);
      if ('path' in wanted ? !readable(folder) : !access.mayList(folder)) return hidden(folder);
      const found = await leaf.serve(wanted, purpose, access);
      return found && !readable(found.path) ? hidden(found.path) : found;
    },
    async document(kind, name) {
      const definition = format?.documents?.[kind];
      const path = definition?.path(name);
      if (!definition || path === undefined) return undefined;
      const folder = packageFolder(definition.package(name) ?? '');
      if (!access.mayList(folder)) return hidden(folder);
      const held = await leaf.document(kind, name, access);
      if (!held || access.readsAll) return held;
      const doc = await held.read();
      const seen = await definition.filter(doc, readable);
      // Nothing is left out, so it is what others get as well.
      if (seen === doc) return held;
      return (
        seen && { revision: undefined, modifiedAt: held.modifiedAt, partial: held.partial, read: async () => seen }
      );
    },
    async consult(question) {
      return access.readablePrefixes.length > 0 ? leaf.consult?.(question) : undefined;
    },
    async get(path) {
      return readable(path) ? leaf.get(path) : hidden(path);
    },
    async isFolder(path) {
      return access.mayList(path) ? leaf.isFolder(path) : (hidden(path) ?? false);
    },
    async folder(path) {
      return access.mayList(path) ? leaf.folder(path) : hidden(path);
    },
    async find(packageName, digest) {
      const folder = packageFolder(packageName ?? '');
      return access.mayList(folder) ? leaf.find(packageName, digest, readable) : hidden(folder);
    },
    async version(packageName, version) {
      if (!access.mayList(packageFolder(packageName))) return hidden(packageFolder(packageName));
      const asset = await leaf.version(packageName, version);
      return asset && !readable(asset.path) ? hidden(asset.path) : asset;
    },
    async children(folder, page) {
      if (!access.mayList(folder)) return hidden(folder) ?? [];
      return listReadable(leaf, access, folder, page);
    },
    async descendants(folder, page) {
      if (!access.mayList(folder)) return hidden(folder) ?? { found: [], next: undefined };
      const { found, next } = await leaf.descendants(folder, page);
      return { found: found.filter((node) => (node.folder ? access.mayList(node.path) : readable(node.path))), next };
    },
    packages: (page) => packagesReadable(leaf, access, page, format?.folderOf),
    async versionNames(packageName, page) {
      if (!access.mayList(packageFolder(packageName))) return hidden(packageFolder(packageName)) ?? [];
      return fill(
        page,
        (next) => leaf.versionNames(packageName, next, access),
        ({ version }) => version,
        ({ path }) => readable(path),
      );
    },
    async versionsWith(packageName, property, page) {
      const folder = packageFolder(packageName ?? '');
      if (!access.mayList(folder)) return hidden(folder) ?? [];
      return fill(
        page,
        (next) => leaf.versionsWith(packageName, property, next, access),
        ({ sequence }) => sequence,
        ({ path }) => readable(path),
      );
    },
    async properties(path) {
      if (!readable(path)) return hidden(path) ?? {};
      return leaf.properties(path);
    },
    async store(path, body, options = {}) {
      access.require('deploy', path);
      return leaf.store(body, options);
    },
    uploads: {
      async start(packageName, options = {}) {
        access.require('deploy', packageFolder(packageName));
        return leaf.startUpload(packageName, access, options.algorithm);
      },
      async open(packageName, id) {
        access.require('deploy', packageFolder(packageName));
        return leaf.openUpload(packageName, id);
      },
    },
    change: (scope, work) => leaf.change(scope, access, work),
  };
}

function listReadable(leaf: LeafRepository, access: Access, folder: RepoPath, page: Page): Promise<readonly Entry[]> {
  return fill(
    page,
    (next) => leaf.children(folder, next),
    (entry) => entry.name,
    (entry) => {
      const path = joinPath(folder, entry.name);
      return entry.folder ? access.mayList(path) : access.allows('read', path);
    },
  );
}

/** Pages through what the caller may see, reading only those parts of the order that can hold some of it. */
async function packagesReadable(
  leaf: LeafRepository,
  access: Access,
  page: Page,
  folderOf: Format['folderOf'],
): Promise<readonly string[]> {
  if (folderOf) {
    // Where names are no paths, their order says nothing of where they lie.
    return fill(
      page,
      (next) => leaf.packages(next, access),
      (name) => name,
      (name) => access.mayList(folderOf(name)),
    );
  }
  const found = new Set<string>();
  for (const prefix of [...access.readablePrefixes].sort()) {
    const literal = prefix.replace(/\/+$/, '');
    if (page.after !== undefined && literal < page.after && !page.after.startsWith(literal)) continue;
    // The first name at or after the prefix: names equal to it count, so the search starts just before.
    const start = literal === '' ? '' : justBefore(literal);
    const after = page.after !== undefined && page.after > start ? page.after : start;
    const names = await fill(
      { after, limit: page.limit },
      async (next) =>
        (await leaf.packages(next, access)).filter(
          (name) => name.startsWith(literal) || literal.startsWith(`${name}/`),
        ),
      (name) => name,
      (name) => access.mayList(name as RepoPath),
    );
    for (const name of names) found.add(name);
  }
  return [...found].sort(byBytes).slice(0, page.limit);
}

/** Reads pages until enough of them pass; a page that is not full is the last. */
async function fill<T, Mark, Wanted extends { readonly after?: Mark; readonly limit: number }>(
  page: Wanted,
  read: (page: Wanted) => Promise<readonly T[]>,
  markOf: (item: T) => Mark,
  pass: (item: T) => boolean,
): Promise<T[]> {
  const passed: T[] = [];
  let after = page.after;
  for (;;) {
    const items = await read({ ...page, ...(after !== undefined && { after }) });
    for (const item of items) {
      if (pass(item)) passed.push(item);
      if (passed.length === page.limit) return passed;
    }
    const last = items.at(-1);
    if (!last || items.length < page.limit) return passed;
    after = markOf(last);
  }
}

/** A text that sorts before `text` with nothing that matters in between. */
function justBefore(text: string): string {
  const last = text.codePointAt(text.length - 1) ?? 0;
  return last > 1 ? `${text.slice(0, -1)}${String.fromCodePoint(last - 1)}\u{10ffff}` : text.slice(0, -1);
}
