/** One package as one caller may see it: what there is of it, its versions, and what each says of itself. */
import { setImmediate as turn } from 'node:timers/promises';
import { z } from 'zod';
import { AppError } from '../../core/errors.ts';
import { clip, type Properties, type RepoPath, splitPath } from '../../core/ids.ts';
import { type Description, versionOfRow } from '../../core/package-view.ts';
import type { Principal } from '../../core/principal.ts';
import type { Database } from '../../db/database.ts';
import {
  type FileFacts,
  getFileFacts,
  listDownloads,
  listFileFacts,
  listFolderFacts,
  listFolderSizes,
  listPackagesNamed,
  listPropertyValues,
  listVersionParts,
  type VersionRow,
} from '../../db/package-listings.ts';
import type { BoundMember } from '../virtual/bound.ts';
import type { PackageCatalogue, ShownHolders } from './catalogue.ts';
import type { PageMarks } from './page-mark.ts';
import { lastPublished, latestOf, type PackageVersions, type ShownVersion } from './versions.ts';

export interface ReleaseDeps {
  readonly database: Database;
  readonly catalogue: PackageCatalogue;
  readonly versions: PackageVersions;
  readonly marks: PageMarks;
}

export interface PackageSummary {
  readonly repository: string;
  readonly name: string;
  readonly type: string;
  readonly latest: string;
  readonly versions: number;
  readonly createdAt: string;
  readonly publishedAt: string;
  readonly downloads: number;
  /** What each tag points to. */
  readonly tags: readonly { readonly name: string; readonly version: string }[];
  /** The repositories that its versions are in. */
  readonly heldBy: readonly string[];
}

export interface VersionLine {
  readonly version: string;
  readonly publishedAt: string;
  /** The repository that has it. */
  readonly heldBy: string;
  readonly size: number;
  readonly downloads: number;
  readonly tags: readonly string[];
  /** A candidate, a snapshot, or what nobody gave a name. */
  readonly preliminary: boolean;
}

export interface VersionLines {
  readonly versions: readonly VersionLine[];
  readonly total: number;
  readonly after?: string | undefined;
}

export interface VersionDetail extends Description {
  readonly repository: string;
  readonly package: string;
  readonly type: string;
  readonly version: string;
  readonly heldBy: string;
  readonly publishedAt: string;
  readonly publishedBy: string;
  readonly tags: readonly string[];
  readonly downloads: number;
  readonly files: readonly VersionFile[];
  /** There are more files than these. */
  readonly moreFiles: boolean;
  /** Of the file that leads the version. */
  readonly properties: Properties;
}

export interface VersionFile extends Omit<FileFacts, 'nodeId' | 'createdAt'> {
  readonly name: string;
  readonly createdAt: string;
}

const MAX_FILES = 1000;
const STEP = 1000;
const versionPlace = z.object({ version: z.string(), publishedAt: z.number() });

export class PackageReleases {
  readonly #deps: ReleaseDeps;

  constructor(deps: ReleaseDeps) {
    this.#deps = deps;
  }

  /** What there is of the package; `not_found` where the caller may see nothing of it. */
  async summary(key: string, name: string, principal: Principal): Promise<PackageSummary> {
    const holders = this.#deps.catalogue.open(key, principal);
    const versions = await this.#versionsOf(holders, name);
    const tags = await this.#tagsOf(holders, versions);
    const tagged = tags.find((tag) => tag.name === 'latest')?.shown;
    const rows = versions.flatMap((shown) => shown.rows);
    const downloads = await this.#downloadsOf(rows.map(idOf));
    const created = rows.reduce((first, { createdAt }) => Math.min(first, createdAt), Number.MAX_SAFE_INTEGER);
    return {
      repository: holders.row.key,
      name,
      type: holders.row.packageType,
      latest: (tagged ?? latestOf(holders.view, versions))?.version ?? '',
      versions: versions.length,
      createdAt: new Date(created).toISOString(),
      publishedAt: new Date(lastPublished(versions)).toISOString(),
      downloads,
      tags: tags.map((tag) => ({ name: tag.name, version: tag.shown.version })),
      heldBy: [...new Set(versions.map(({ holder }) => holder.repo.key as string))],
    };
  }

  /** A page of its versions, the newest first. */
  async versions(
    key: string,
    name: string,
    principal: Principal,
    query: { readonly limit: number; readonly after?: string | undefined; readonly text?: string | undefined },
  ): Promise<VersionLines> {
    const { catalogue, marks } = this.#deps;
    const holders = catalogue.open(key, principal);
    const list = JSON.stringify(['versions', key, name, query.text ?? '']);
    const from = marks.read(list, query.after, versionPlace);
    const needle = query.text?.toLowerCase() ?? '';
    const found = await this.#versionsOf(holders, name);
    const all = needle === '' ? found : found.filter(({ version }) => version.toLowerCase().includes(needle));
    const start = from ? placeAfter(holders, all, from) : 0;
    const page = all.slice(start, start + query.limit);
    const last = page.at(-1);
    const hasMore = last !== undefined && start + page.length < all.length;
    return {
      versions: await this.#lines(holders, page),
      total: all.length,
      after: hasMore ? marks.render(list, { version: last.version, publishedAt: last.publishedAt }) : undefined,
    };
  }

  /** What one version says of itself; `not_found` where the caller may not see it. */
  async version(key: string, name: string, version: string, principal: Principal): Promise<VersionDetail> {
    const holders = this.#deps.catalogue.open(key, principal);
    const found = await this.#partsOf(holders, name, version);
    if (!found) {
      // Nothing at all of a package is another matter than a version that is missing.
      await this.#versionsOf(holders, name);
      throw new AppError(
        'not_found',
        `There is no version "${clip(version)}" of "${clip(name, 300)}" in "${holders.row.key}", or you may not see it.`,
      );
    }
    const { holder, parts } = found;
    const [lead] = parts;
    const { repo } = holder;
    const { row, view } = holders;
    const description = await view.describe({
      package: name,
      version,
      packageType: row.packageType,
      rows: parts.map((part) => ({ row: part.row, path: part.path, metadata: part.metadata })),
      repo,
    });
    const { files, more } = await this.#filesOf(holders, holder, parts);
    const own = new Set(parts.map(idOf));
    const shown = { version, holder, rows: parts, publishedAt: 0 };
    const tags = await this.#tagsOf(holders, [shown]);
    return {
      repository: row.key,
      package: name,
      type: row.packageType,
      version,
      heldBy: repo.key,
      publishedAt: new Date(Math.max(...parts.map(({ createdAt }) => createdAt))).toISOString(),
      publishedBy: files.find(({ nodeId }) => nodeId === lead.nodeId)?.createdBy ?? '',
      tags: tags.map((tag) => tag.name),
      downloads: sumOf(files.filter(({ nodeId }) => own.has(nodeId)).map((file) => file.downloads)),
      ...description,
      files: files.map(({ nodeId: _, createdAt, ...file }) => ({
        name: splitPath(file.path).name,
        ...file,
        createdAt: new Date(createdAt).toISOString(),
      })),
      moreFiles: more,
      properties: await repo.properties(lead.path),
    };
  }

  async #versionsOf(holders: ShownHolders, name: string): Promise<readonly ShownVersion[]> {
    const versions = name === '' ? undefined : (await this.#deps.versions.of(holders, [name])).get(name);
    if (versions) return versions;
    throw new AppError(
      'not_found',
      `There is no package "${clip(name, 300)}" in "${holders.row.key}", or you may not see it.`,
    );
  }

  /** The rows of the version in the first repository that has it for the caller; its lead comes first. */
  async #partsOf(
    { members, names, view }: ShownHolders,
    name: string,
    version: string,
  ): Promise<{ readonly holder: BoundMember; readonly parts: Parts } | undefined> {
    const prefix = view.rowPrefix?.(version) ?? `${version}/`;
    let hasPriority = false;
    for (const holder of members) {
      const { member, access } = holder;
      if (!member.priority && hasPriority) return undefined;
      if (!(await names.allows(member, name))) continue;
      const found = await this.#deps.database.read((db) =>
        listVersionParts(db, member.leaf.id, name, { version, prefix, limit: MAX_FILES }),
      );
      const [lead, ...others] = found.filter(
        ({ row, path }) => versionOfRow(view, row) === version && access.allows('read', path),
      );
      if (lead) return { holder, parts: [lead, ...others] };
      if (member.priority) hasPriority ||= await this.#has(holder, name);
    }
    return undefined;
  }

  async #has({ member }: BoundMember, name: string): Promise<boolean> {
    return (await this.#deps.database.read((db) => listPackagesNamed(db, member.leaf.id, [name]))).size > 0;
  }

  /** Its rows' files, with what lies beside them and the caller may read. */
  async #filesOf(
    { view }: ShownHolders,
    { member, access }: BoundMember,
    parts: Parts,
  ): Promise<{ readonly files: readonly FileFacts[]; readonly more: boolean }> {
    const repoId = member.leaf.id;
    const found = await this.#deps.database.read(async (db) => {
      const own = await listFileFacts(db, parts.map(idOf));
      const beside: FileFacts[] = [];
      if (view.wholeFolder) {
        const { parent } = splitPath(parts[0].path);
        beside.push(...(await listFolderFacts(db, repoId, parent as RepoPath, MAX_FILES + 1)));
      }
      if (view.beside) {
        for (const { path } of parts.slice(0, MAX_BESIDE)) {
          for (const other of view.beside(path)) {
            const facts = await getFileFacts(db, repoId, other);
            if (facts) beside.push(facts);
          }
        }
      }
      return [...own, ...beside];
    });
    const byId = new Map(found.map((file) => [file.nodeId, file]));
    const readable = [...byId.values()].filter(({ path }) => access.allows('read', path));
    return { files: readable.slice(0, MAX_FILES), more: readable.length > MAX_FILES };
  }

  /** Tags by name, each with the version it points to. */
  async #tagsOf(
    { view, members }: ShownHolders,
    versions: readonly ShownVersion[],
  ): Promise<{ readonly name: string; readonly shown: ShownVersion }[]> {
    const { tagProperty } = view;
    if (tagProperty === undefined) return [];
    const byNode = new Map(versions.flatMap((shown) => shown.rows.map((row) => [row.nodeId, shown] as const)));
    const tags = new Map<string, ShownVersion>();
    for await (const ids of inSteps([...byNode.keys()])) {
      const values = await this.#deps.database.read((db) => listPropertyValues(db, ids, tagProperty));
      for (const { nodeId, value } of values) {
        const [shown, known] = [byNode.get(nodeId), tags.get(value)];
        // Of several repositories the first has the word.
        if (shown && (!known || heldBefore(members, shown, known))) tags.set(value, shown);
      }
    }
    return [...tags].map(([name, shown]) => ({ name, shown })).sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  async #downloadsOf(nodeIds: readonly number[]): Promise<number> {
    let sum = 0;
    for await (const ids of inSteps(nodeIds)) {
      sum += sumOf((await this.#deps.database.read((db) => listDownloads(db, ids))).values());
    }
    return sum;
  }

  async #lines(holders: ShownHolders, page: readonly ShownVersion[]): Promise<VersionLine[]> {
    const { view } = holders;
    const ids = page.flatMap(({ rows }) => rows.map(idOf));
    const downloads = await this.#deps.database.read((db) => listDownloads(db, ids));
    const tags = Map.groupBy(await this.#tagsOf(holders, page), ({ shown }) => shown);
    const sizes = view.wholeFolder ? await this.#folderSizes(page) : new Map<ShownVersion, number>();
    return page.map((shown) => ({
      version: shown.version,
      publishedAt: new Date(shown.publishedAt).toISOString(),
      heldBy: shown.holder.repo.key,
      size: sizes.get(shown) ?? sumOf(shown.rows.map(({ size }) => size)),
      downloads: sumOf(shown.rows.map(({ nodeId }) => downloads.get(nodeId) ?? 0)),
      tags: (tags.get(shown) ?? []).map(({ name }) => name),
      preliminary: view.isPreliminary?.(shown.version) ?? false,
    }));
  }

  /** Of what lies in the folders of those whose every file the caller may read. */
  async #folderSizes(page: readonly ShownVersion[]): Promise<ReadonlyMap<ShownVersion, number>> {
    const found = new Map<ShownVersion, number>();
    const folderOf = ({ rows: [lead] }: ShownVersion) => (lead ? splitPath(lead.path).parent : '') as RepoPath;
    for (const [holder, own] of Map.groupBy(page, (shown) => shown.holder)) {
      if (!holder.access.readsAll) continue;
      const { id } = holder.member.leaf;
      const sizes = await this.#deps.database.read((db) => listFolderSizes(db, id, own.map(folderOf)));
      for (const shown of own) found.set(shown, sizes.get(folderOf(shown)) ?? 0);
    }
    return found;
  }
}

type Part = VersionRow & { readonly metadata: unknown };
type Parts = readonly [Part, ...Part[]];
/** So many files are asked what lies beside them. */
const MAX_BESIDE = 100;

function idOf({ nodeId }: Pick<VersionRow, 'nodeId'>): number {
  return nodeId;
}

/** So many at once as a statement takes in a few milliseconds; the others are let in between. */
async function* inSteps(ids: readonly number[]): AsyncGenerator<readonly number[]> {
  for (let from = 0; from < ids.length; from += STEP) {
    if (from > 0) await turn();
    yield ids.slice(from, from + STEP);
  }
}

function heldBefore(members: readonly BoundMember[], one: ShownVersion, other: ShownVersion): boolean {
  return members.indexOf(one.holder) < members.indexOf(other.holder);
}

function sumOf(numbers: Iterable<number>): number {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}

/** The first that is older than the place, whether what was there is still there or not. */
function placeAfter(
  { view: { order } }: ShownHolders,
  all: readonly ShownVersion[],
  from: z.infer<typeof versionPlace>,
): number {
  const at = all.findIndex(({ version }) => version === from.version);
  if (at >= 0) return at + 1;
  const key = order?.key(from.version);
  const next = all.findIndex(({ version, publishedAt }) =>
    order ? order.compare(order.key(version), key) < 0 : publishedAt < from.publishedAt,
  );
  return next < 0 ? all.length : next;
}
