/** A virtual repository: no files of its own, but those of its members, each as far as the caller may see it. */
import type { OpaqueDoc } from '../../core/document.ts';
import { AppError } from '../../core/errors.ts';
import type { Format } from '../../core/format.ts';
import type { Properties, RepoKey, RepoPath } from '../../core/ids.ts';
import type { Repository, Uploads, Wanted } from '../../core/repository.ts';
import type { Database } from '../../db/database.ts';
import { Lru } from '../../lib/lru.ts';
import { type BindMember, BoundMembers, unlessRefused } from './bound.ts';
import { mergedDocument } from './documents.ts';
import { explainResolution, type Step } from './explain.ts';
import { GuardedNames, type ShadowingNotes } from './guard.ts';
import { MergedListings } from './listings.ts';
import type { Member, Plan } from './plan.ts';
import { Resolver } from './resolve.ts';
import { ShadowedDocuments } from './shadowed-documents.ts';

/** What the virtual repositories of a server share. */
export interface VirtualDeps {
  readonly database: Database;
  readonly notes: ShadowingNotes;
}

/** What is remembered between requests; bounded, and the same for all callers. */
export class VirtualMemory {
  readonly affinity = new Lru<string, Member>({ maxEntries: 10_000 });
  readonly merged = new Lru<string, Promise<OpaqueDoc>>({ maxEntries: 64 });
  readonly shadowed: ShadowedDocuments;

  constructor(database: Database) {
    this.shadowed = new ShadowedDocuments(database);
  }
}

export interface VirtualBinding {
  readonly plan: Plan;
  readonly format: Format | undefined;
  readonly memory: VirtualMemory;
  readonly bind: BindMember;
  /** The request comes from another server on behalf of its clients. */
  readonly relayed: boolean;
  readonly anonymous: boolean;
}

function partsOf(deps: VirtualDeps, { plan, format, memory, bind, relayed }: VirtualBinding) {
  const members = new BoundMembers(plan, bind);
  const names = new GuardedNames(deps, format);
  const asks = !relayed || plan.asksForServers;
  const { affinity } = memory;
  const resolver = new Resolver({ plan, members, database: deps.database, format, names, affinity, asks });
  return { members, names, asks, resolver };
}

/** What would become of a request of this caller, member by member; `full` tells also of those it may not know. */
export function explainVirtual(
  deps: VirtualDeps,
  binding: VirtualBinding,
  wanted: Wanted,
  full: boolean,
): Promise<readonly Step[]> {
  return explainResolution({ plan: binding.plan, full, ...partsOf(deps, binding) }, wanted);
}

/** Binds a virtual repository to one caller. */
export function bindVirtual(deps: VirtualDeps, binding: VirtualBinding): Repository {
  const { plan, format, memory } = binding;
  const { members, names, resolver } = partsOf(deps, binding);
  const { merged, shadowed } = memory;
  const listings = new MergedListings({ plan, members, format, names, resolver });
  const deployment = () => plan.deployment && members.get(plan.deployment)?.repo;
  const target = () => {
    const repo = deployment();
    if (repo) return repo;
    throw plan.deployment ? unknownTarget(plan.key, binding.anonymous) : noDeployment(plan.key);
  };
  const requireFile = (path: RepoPath) => members.requireSome(path, (access) => access.allows('read', path));
  const requireFolder = (path: RepoPath) => members.requireSome(path, (access) => access.mayList(path));
  const folderOf = (name: string) => format?.folderOf?.(name) ?? (name as RepoPath);
  /** The first member that has it. */
  const first = async <T>(read: (repo: Repository) => Promise<T | undefined>): Promise<T | undefined> => {
    for (const { repo } of members.of(plan.members)) {
      const found = await unlessRefused(() => read(repo));
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const uploads: Uploads = {
    start: async (name, options) => target().uploads.start(name, options),
    open: async (name, id) => target().uploads.open(name, id),
  };
  const folder = async (path: RepoPath) => {
    const found = await first((repo) => repo.folder(path));
    if (!found) requireFolder(path);
    return found;
  };
  return {
    key: plan.key,
    packageType: plan.row.packageType,
    rclass: 'virtual',
    settings: plan.row.config,
    deploysTo: plan.deployment?.key,
    allows: (action, path) =>
      action === 'read' ? members.allow('read', path) : (deployment()?.allows(action, path) ?? false),
    require(action, path) {
      if (action === 'read') requireFile(path);
      else target().require(action, path);
    },
    async serve(wanted, purpose) {
      const found = await resolver.serve(wanted, purpose);
      if (!found) 'path' in wanted ? requireFile(wanted.path) : requireFolder(folderOf(wanted.package));
      return found;
    },
    async document(kind, name) {
      const held = await mergedDocument({ plan, members, format, names, merged, shadowed }, kind, name);
      if (!held) requireFolder((format?.documents?.[kind]?.package(name) ?? '') as RepoPath);
      return held;
    },
    consult: (question) => first((repo) => repo.consult(question)),
    async get(path) {
      const found = await resolver.held({ path });
      if (!found) requireFile(path);
      return found;
    },
    isFolder: async (path) => (await folder(path)) !== undefined,
    folder,
    async find(name, digest) {
      const found =
        name === undefined
          ? await first((repo) => repo.find(undefined, digest))
          : await resolver.held({ package: name, digest, lead: false });
      if (!found) requireFolder(folderOf(name ?? ''));
      return found;
    },
    async version(name, version) {
      const found = await resolver.held({ package: name, version });
      if (!found) requireFolder(folderOf(name));
      return found;
    },
    children: (path, page) => listings.children(path, page),
    descendants: (path, page) => listings.descendants(path, page),
    packages: (page) => listings.packages(page),
    versionNames: (name, page) => listings.versionNames(name, page),
    versionsWith: (name, property, page) => listings.versionsWith(name, property, page),
    async properties(path): Promise<Properties> {
      const asset = await resolver.held({ path });
      if (asset) return propertiesOf(asset.repo, path);
      return (await first(async (repo) => ((await repo.folder(path)) ? repo.properties(path) : undefined))) ?? {};
    },
    store: async (path, body, options) => target().store(path, body, options),
    uploads,
    change: async (scope, work) => target().change(scope, work),
  };

  async function propertiesOf(key: RepoKey, path: RepoPath): Promise<Properties> {
    const member = plan.members.find((each) => each.key === key || `${each.key}-cache` === key);
    return (member && (await members.get(member)?.repo.properties(path))) ?? {};
  }
}

/** Where nothing can be deployed, in the words that clients know. */
export function noDeployment(key: RepoKey): AppError {
  return new AppError(
    'not_supported',
    `No local repository was configured as local deployment repository for the (${key}) virtual repository.`,
    { headers: { Allow: 'GET' } },
  );
}

/** Says nothing of a repository that the caller may not know. */
export function unknownTarget(key: RepoKey, anonymous: boolean): AppError {
  if (anonymous) return new AppError('unauthenticated', 'Authentication is required.', { action: 'deploy' });
  return new AppError('forbidden', `You may not deploy to "${key}". Ask an administrator for the right to deploy.`, {
    action: 'deploy',
  });
}
