/** What narrows an access: it says what the other says, but where a subclass has its own answer. */
import type { RepoPath } from '../core/ids.ts';
import type { Action } from '../core/principal.ts';
import type { Access } from './leaf.ts';

/** Several are made in every request, which is why they are classes: see gateway/format-request.ts. */
export class AccessWithin implements Access {
  protected readonly inner: Access;

  constructor(inner: Access) {
    this.inner = inner;
  }

  get principalName(): string {
    return this.inner.principalName;
  }

  get mayWrite(): boolean {
    return this.inner.mayWrite;
  }

  get readsAll(): boolean {
    return this.inner.readsAll;
  }

  get readablePrefixes(): readonly string[] {
    return this.inner.readablePrefixes;
  }

  allows(action: Action, path: RepoPath): boolean {
    return this.inner.allows(action, path);
  }

  require(action: Action, path: RepoPath): void {
    this.inner.require(action, path);
  }

  mayList(folder: RepoPath): boolean {
    return this.inner.mayList(folder);
  }
}

/** The same rights, in the name of somebody else: of who once asked for what is done now, or who lent them. */
export function inNameOf(access: Access, principalName: string): Access {
  return new Lent(access, principalName);
}

class Lent extends AccessWithin {
  readonly #name: string;

  constructor(inner: Access, name: string) {
    super(inner);
    this.#name = name;
  }

  override get principalName(): string {
    return this.#name;
  }
}
