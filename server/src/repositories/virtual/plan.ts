/** In which order the members of a virtual repository are asked: made once whenever repositories change. */
import { type AntPattern, compileAntPattern } from '../../core/ant-pattern.ts';
import type { RepoKey } from '../../core/ids.ts';
import type { RepositoryRow } from '../../db/repositories.ts';
import { namesOf } from '../checks.ts';
import type { LeafRepository } from '../leaf.ts';
import type { Limits } from '../limits.ts';
import { settingOf } from '../settings.ts';

/** A repository that holds files, as it stands in a virtual one. */
export interface Member {
  readonly key: RepoKey;
  readonly leaf: LeafRepository;
  readonly priority: boolean;
  /** Whether a failure of it fails the whole request. */
  readonly hardFail: boolean;
  /** What the virtual repositories on the way to it let through. */
  readonly passage: readonly Limits[];
  /** What keeps names of local packages from being asked of it; only for remote ones. */
  readonly guards: readonly Guard[];
}

/** One virtual repository's rule about names that its local members have. */
export interface Guard {
  readonly virtual: RepoKey;
  readonly virtualId: number;
  readonly mode: 'enforce' | 'warn';
  readonly exceptions: readonly AntPattern[];
  /** Ids of its local members, whoever may see them. */
  readonly locals: readonly number[];
}

/** Members that are asked together: first what all of them hold, then the upstreams of those that have one. */
export interface Tier {
  readonly priority: boolean;
  readonly locals: readonly Member[];
  readonly remotes: readonly Member[];
  /** Ids of `locals`. */
  readonly localIds: readonly number[];
  readonly byId: ReadonlyMap<number, Member>;
}

export interface Plan {
  readonly key: RepoKey;
  readonly row: RepositoryRow;
  /** In the order of resolution; a tier without members is left out. */
  readonly tiers: readonly Tier[];
  readonly members: readonly Member[];
  /** Members that take no part, because they are blacked out. */
  readonly passedOver: readonly RepoKey[];
  /** Ids of all local repositories below it, whoever may see them. */
  readonly localIds: readonly number[];
  /** Where what is deployed goes. */
  readonly deployment: Member | undefined;
  readonly hidesUnauthorized: boolean;
  /** Whether the newest of the members' releases of one name is given, instead of the first. */
  readonly newestWins: boolean;
  /** Whether requests that another server makes for its own clients may lead to requests to upstreams. */
  readonly asksForServers: boolean;
}

/** What a plan needs to know of a repository. */
export interface Planned {
  readonly row: RepositoryRow;
  /** Undefined for virtual repositories. */
  readonly leaf: LeafRepository | undefined;
  readonly limits: Limits | undefined;
}

/** The plan of a virtual repository; `find` knows all repositories by key. */
export function planOf(virtual: Planned, find: (key: string) => Planned | undefined): Plan {
  const passedOver: RepoKey[] = [];
  const members = flatten(virtual, find, passedOver);
  const tiers = [true, false].map((priority) => tierOf(members, priority));
  const { row } = virtual;
  const { config } = row;
  return {
    key: row.key,
    row,
    tiers: tiers.filter(({ locals, remotes }) => locals.length + remotes.length > 0),
    members: tiers.flatMap(({ locals, remotes }) => [...locals, ...remotes]),
    passedOver,
    localIds: localsBelow(virtual, find),
    deployment: deploymentOf(virtual, find),
    hidesUnauthorized: config['hideUnauthorizedResources'] === true,
    newestWins: config['resolveDockerTagsByTimestamp'] === true,
    asksForServers: config['artifactoryRequestsCanRetrieveRemoteArtifacts'] === true,
  };
}

/** A repository that holds files as the only member of itself; undefined for one that does not. */
export function planOfOne({ row, leaf }: Planned): Plan | undefined {
  if (!leaf) return undefined;
  const member = memberOf(row, leaf, [], []);
  return {
    key: row.key,
    row,
    tiers: [tierOf([member], member.priority)],
    members: [member],
    passedOver: [],
    localIds: [],
    deployment: member,
    hidesUnauthorized: false,
    newestWins: false,
    asksForServers: true,
  };
}

function tierOf(members: readonly Member[], priority: boolean): Tier {
  const own = members.filter((member) => member.priority === priority);
  const locals = own.filter(({ leaf }) => leaf.rclass !== 'remote');
  return {
    priority,
    locals,
    remotes: own.filter(({ leaf }) => leaf.rclass === 'remote'),
    localIds: locals.map(({ leaf }) => leaf.id),
    byId: new Map(own.map((member) => [member.leaf.id, member])),
  };
}

/** Nested ones depth first at their place; who is named twice keeps the first place, with what leads to it. */
function flatten(virtual: Planned, find: (key: string) => Planned | undefined, passedOver: RepoKey[]): Member[] {
  const found = new Map<string, Member>();
  const seen = new Set<string>();
  const visit = (at: Planned, passage: readonly Limits[], guards: readonly Guard[]) => {
    if (seen.has(at.row.key)) return;
    seen.add(at.row.key);
    if (at.leaf) {
      // A repository that is blacked out takes no part, but the names in it stay its own.
      if (at.row.config['blackedOut'] === true) passedOver.push(at.row.key);
      else found.set(at.row.key, memberOf(at.row, at.leaf, passage, guards));
      return;
    }
    const guard = guardOf(at, find);
    for (const key of namesOf(at.row.config['repositories'])) {
      const member = find(key);
      if (!member) continue;
      visit(member, at.limits ? [...passage, at.limits] : passage, guard ? [...guards, guard] : guards);
    }
  };
  visit(virtual, [], []);
  return [...found.values()];
}

function memberOf(
  row: RepositoryRow,
  leaf: LeafRepository,
  passage: readonly Limits[],
  guards: readonly Guard[],
): Member {
  return {
    key: row.key,
    leaf,
    priority: row.config['priorityResolution'] === true,
    hardFail: row.config['hardFail'] === true,
    passage,
    guards: leaf.rclass === 'remote' ? guards : [],
  };
}

function guardOf(virtual: Planned, find: (key: string) => Planned | undefined): Guard | undefined {
  const mode = settingOf('localNameShadowing', virtual.row);
  if (mode === 'off') return undefined;
  const locals = localsBelow(virtual, find);
  if (locals.length === 0) return undefined;
  return {
    virtual: virtual.row.key,
    virtualId: virtual.row.id,
    mode: mode === 'warn' ? 'warn' : 'enforce',
    exceptions: namesOf(virtual.row.config['localNameShadowingExceptions']).map((text) => compileAntPattern(text)),
    locals,
  };
}

/** The ids of all local repositories below a virtual one. */
function localsBelow(virtual: Planned, find: (key: string) => Planned | undefined): number[] {
  const ids = new Set<number>();
  const seen = new Set<string>();
  const visit = (at: Planned) => {
    if (seen.has(at.row.key)) return;
    seen.add(at.row.key);
    if (at.leaf) {
      if (at.leaf.rclass !== 'remote') ids.add(at.leaf.id);
      return;
    }
    for (const key of namesOf(at.row.config['repositories'])) {
      const member = find(key);
      if (member) visit(member);
    }
  };
  visit(virtual);
  return [...ids];
}

function deploymentOf(virtual: Planned, find: (key: string) => Planned | undefined): Member | undefined {
  const key = virtual.row.config['defaultDeploymentRepo'];
  const target = typeof key === 'string' ? find(key) : undefined;
  if (!target?.leaf || target.leaf.rclass === 'remote') return undefined;
  return memberOf(target.row, target.leaf, virtual.limits ? [virtual.limits] : [], []);
}
