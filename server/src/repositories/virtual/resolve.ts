/** Finds what is wanted among the members: what they hold in their order, then the upstreams of the remote ones. */
import { cacheKeyOf } from '../../core/cache-keys.ts';
import type { Format } from '../../core/format.ts';
import { clip, type RepoPath, type Sha256 } from '../../core/ids.ts';
import type { Arriving, Asset, Purpose, Wanted } from '../../core/repository.ts';
import { resolveDigest } from '../../db/blobs.ts';
import type { Database, Db } from '../../db/database.ts';
import { findFileIn, getFileIn, getVersionFileIn, type MemberFile } from '../../db/files.ts';
import { holdsPackage } from '../../db/local-names.ts';
import type { Lru } from '../../lib/lru.ts';
import { traceStep } from '../../lib/trace.ts';
import { Attempts, type BoundMember, type BoundMembers, unlessRefused } from './bound.ts';
import type { GuardedNames } from './guard.ts';
import type { Member, Plan, Tier } from './plan.ts';

export interface ResolverDeps {
  readonly plan: Plan;
  readonly members: BoundMembers;
  readonly database: Database;
  readonly format: Format | undefined;
  readonly names: GuardedNames;
  /** The member that last answered for a package: asked first for what its digest names. */
  readonly affinity: Lru<string, Member>;
  /** Whether upstreams may be asked at all. */
  readonly asks: boolean;
}

type Served = Asset | Arriving;

export class Resolver {
  readonly #deps: ResolverDeps;

  constructor(deps: ResolverDeps) {
    this.#deps = deps;
  }

  /** Undefined where nobody has it; throws where somebody who might could not be asked. */
  async serve(wanted: Wanted, purpose: Purpose): Promise<Served | undefined> {
    const attempts = new Attempts();
    const name = this.packageOf(wanted);
    for (const tier of this.#deps.plan.tiers) {
      const found =
        this.#deps.plan.newestWins && 'version' in wanted
          ? await this.#newest(tier, wanted, name, purpose, attempts)
          : await this.#first(tier, wanted, name, purpose, attempts);
      if (found) return found;
      if (await this.endsWith(tier, name)) break;
    }
    if (purpose !== 'held') attempts.finish();
    return undefined;
  }

  /** The file as some member holds it, whatever its age. */
  async held(wanted: Wanted): Promise<Asset | undefined> {
    const name = this.packageOf(wanted);
    for (const tier of this.#deps.plan.tiers) {
      const found =
        (await this.#inLocals(tier, wanted)) ??
        (await this.#inCaches(tier, name, ({ repo }) => {
          if ('path' in wanted) return repo.get(wanted.path);
          if ('version' in wanted) return repo.version(wanted.package, wanted.version);
          return repo.find(wanted.package, wanted.digest);
        }));
      if (found) return found;
      if (await this.endsWith(tier, name)) break;
    }
    return undefined;
  }

  /** The package that something belongs to, where that can be told. */
  packageOf(wanted: Wanted): string | undefined {
    return 'path' in wanted ? this.#deps.format?.packageOf?.(wanted.path) : wanted.package;
  }

  /** Whether nobody behind this tier is asked for the package, because one of its members has it. */
  async endsWith(tier: Tier, name: string | undefined): Promise<boolean> {
    const { plan, database, members } = this.#deps;
    if (!tier.priority || name === undefined || tier === plan.tiers.at(-1)) return false;
    const seen = members
      .of([...tier.byId.values()])
      .filter(({ access }) => access.mayList(this.#deps.format?.folderOf?.(name) ?? (name as RepoPath)));
    const ids = seen.map(({ member }) => member.leaf.id);
    if (!(await database.read((db) => holdsPackage(db, ids, name, 'exact')))) return false;
    traceStep(`A member with priority has the package "${clip(name, 300)}", so no others are asked for it.`, 'caller');
    return true;
  }

  async #first(
    tier: Tier,
    wanted: Wanted,
    name: string | undefined,
    purpose: Purpose,
    attempts: Attempts,
  ): Promise<Served | undefined> {
    const known = 'digest' in wanted ? this.#lastOf(tier, wanted.package) : undefined;
    if (known) {
      const found = await this.#byDigestIn(known, wanted, name);
      if (found) return found;
    }
    const local = await this.#inLocals(tier, wanted);
    if (local) return this.#answered(local, tier.byId, name);
    if (tier.remotes.length === 0) return undefined;
    const cached = await this.#inCaches(tier, name, ({ repo }) => repo.serve(wanted, 'held'));
    if (cached) return this.#answered(cached, tier.byId, name);
    if (purpose === 'held' || !this.#deps.asks) return undefined;
    for (const bound of this.#asking(tier, known)) {
      const found = await this.#ask(bound, wanted, name, purpose, attempts);
      if (found) return this.#answered(found, tier.byId, name);
    }
    return undefined;
  }

  /** All that have the release are looked at; the one that changed last is given. */
  async #newest(
    tier: Tier,
    wanted: Wanted & { readonly version: string },
    name: string | undefined,
    purpose: Purpose,
    attempts: Attempts,
  ): Promise<Served | undefined> {
    let newest: { found: Served; bound: BoundMember | undefined } | undefined;
    const consider = (found: Served | undefined, bound?: BoundMember) => {
      if (found && (!newest || timeOf(found) > timeOf(newest.found))) newest = { found, bound };
    };
    for (const asset of await this.#allInLocals(tier, wanted)) consider(asset);
    for (const bound of this.#asking(tier, undefined)) {
      const asks = purpose !== 'held' && this.#deps.asks;
      const found = asks
        ? await this.#ask(bound, wanted, name, 'headers', attempts)
        : await this.#inCaches({ ...tier, remotes: [bound.member] }, name, ({ repo }) => repo.serve(wanted, 'held'));
      consider(found, bound);
    }
    if (!newest) return undefined;
    const { found, bound } = newest;
    traceStep(`Of all members that have it, "${found.repo}" changed it last.`, 'caller');
    if (!bound || purpose !== 'bytes') return found;
    return (await this.#ask(bound, wanted, name, 'bytes', attempts)) ?? found;
  }

  #asking(tier: Tier, first: Member | undefined): BoundMember[] {
    const { members } = this.#deps;
    if (first?.leaf.rclass !== 'remote') return members.of(tier.remotes);
    return members.of([first, ...tier.remotes.filter((member) => member !== first)]);
  }

  async #ask(
    bound: BoundMember,
    wanted: Wanted,
    name: string | undefined,
    purpose: Purpose,
    attempts: Attempts,
  ): Promise<Served | undefined> {
    const { names } = this.#deps;
    if (!(await names.allows(bound.member, name))) return undefined;
    await names.noteAsked(bound.member, name);
    return attempts.remote(bound, () => bound.repo.serve(wanted, purpose));
  }

  #lastOf(tier: Tier, name: string | undefined): Member | undefined {
    const { affinity, plan } = this.#deps;
    const last = name === undefined ? undefined : affinity.get(`${plan.key}\n${name}`);
    return last && tier.byId.get(last.leaf.id) === last ? last : undefined;
  }

  #answered<T extends Served>(found: T, members: Tier['byId'], name: string | undefined): T {
    const { affinity, plan } = this.#deps;
    traceStep(`"${found.repo}" has it.`, 'caller');
    if (name === undefined) return found;
    const place = `${plan.key}\n${name}`;
    const last = affinity.get(place);
    if (last && isOf(last, found)) return found;
    for (const member of members.values()) if (isOf(member, found)) affinity.set(place, member);
    return found;
  }

  async #byDigestIn(member: Member, wanted: Wanted, name: string | undefined): Promise<Served | undefined> {
    const bound = this.#deps.members.get(member);
    if (!bound || !(await this.#deps.names.allows(member, name))) return undefined;
    return unlessRefused(() => bound.repo.serve(wanted, 'held'));
  }

  async #inLocals(tier: Tier, wanted: Wanted): Promise<Asset | undefined> {
    if (tier.localIds.length === 0) return undefined;
    const rows = await this.#deps.database.read((db) => rowsOf(db, tier.localIds, wanted));
    if (rows.length === 0) return undefined;
    for (const member of tier.locals) {
      const row = rows.find(({ repoId }) => repoId === member.leaf.id);
      const asset = row && (await this.#give(member, row, wanted));
      if (asset) return asset;
    }
    return undefined;
  }

  async #allInLocals(tier: Tier, wanted: Wanted): Promise<Asset[]> {
    const rows = await this.#deps.database.read((db) => rowsOf(db, tier.localIds, wanted));
    const found: Asset[] = [];
    for (const member of tier.locals) {
      const row = rows.find(({ repoId }) => repoId === member.leaf.id);
      const asset = row && (await this.#give(member, row, wanted));
      if (asset) found.push(asset);
    }
    return found;
  }

  /** The file of the row, if the caller may read it; of several with the same bytes, another that it may. */
  async #give(member: Member, { file }: MemberFile, wanted: Wanted): Promise<Asset | undefined> {
    const bound = this.#deps.members.get(member);
    if (!bound) return undefined;
    if (bound.access.allows('read', file.path)) return member.leaf.asset(file);
    traceStep(`"${member.key}" has it, but it may not be read there.`, 'admin');
    if (!('digest' in wanted)) return undefined;
    return unlessRefused(() => bound.repo.find(wanted.package, wanted.digest));
  }

  async #inCaches<T>(
    tier: Pick<Tier, 'remotes'>,
    name: string | undefined,
    read: (bound: BoundMember) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    for (const bound of this.#deps.members.of(tier.remotes)) {
      if (!(await this.#deps.names.allows(bound.member, name))) continue;
      const found = await unlessRefused(() => read(bound));
      if (found) return found;
    }
    return undefined;
  }
}

async function rowsOf(db: Db, ids: readonly number[], wanted: Wanted): Promise<readonly MemberFile[]> {
  if ('path' in wanted) return getFileIn(db, ids, wanted.path as RepoPath);
  if ('version' in wanted) return getVersionFileIn(db, ids, wanted.package, wanted.version);
  const sha256 = (await resolveDigest(db, wanted.digest)) as Sha256 | undefined;
  return sha256 === undefined ? [] : findFileIn(db, ids, wanted.package, sha256);
}

/** Whether the member gave it; what a remote one keeps names itself as its cache. */
function isOf({ key }: Member, { repo }: Served): boolean {
  return repo === key || (repo.length > key.length && repo === cacheKeyOf(key));
}

function timeOf(found: Served): number {
  return found.modifiedAt?.getTime() ?? 0;
}
