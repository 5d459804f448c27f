/**
 * `maven-metadata.xml`: the versions of an artifact, the files of a snapshot, the plugins of a group. One folder can be
 * both an artifact and a group, so one document holds what there is of each.
 */
import type { DocumentKind, DocumentSource } from '../../core/document.ts';
import { AppError } from '../../core/errors.ts';
import { joinPath, type RepoPath, splitPath } from '../../core/ids.ts';
import type { PackageVersion } from '../../core/repository.ts';
import { readXmlNow, type XmlLimits, type XmlNode, XmlProblem } from '../../lib/xml-reader.ts';
import { renderXml } from '../../lib/xml-writer.ts';
import { parseMetadata } from './metadata-xml.ts';
import { isPom, isSnapshot, METADATA_FILE, packageAt, parseMavenPath, timeOf } from './paths.ts';
import { prefixOf } from './plugins.ts';
import { followRows, type KnownRows, type RowMetadata } from './rows.ts';
import { sortByMavenVersion } from './version-order.ts';

export interface MetadataVersion {
  readonly version: string;
  /** A file of it, for asking whether it may be known of. */
  readonly path: RepoPath;
}

/** The newest file of a kind in the folder of a snapshot. */
export interface SnapshotFile {
  readonly classifier: string;
  readonly extension: string;
  /** The version in its name. */
  readonly value: string;
  readonly updated: string;
  readonly path: RepoPath;
}

export interface PluginEntry {
  readonly prefix: string;
  readonly artifact: string;
  readonly name: string;
  readonly path: RepoPath;
}

export interface MavenMetadata {
  /** The folder it lies in. */
  readonly folder: string;
  /** In the order of Maven, the oldest first. */
  readonly versions: readonly MetadataVersion[];
  readonly files: readonly SnapshotFile[];
  readonly plugins: readonly PluginEntry[];
  /** As Maven writes times; empty where nothing is known of it. */
  readonly updated: string;
  /** What was read to build it; for building on. */
  readonly read?: {
    readonly files: KnownRows<SnapshotFile | VersionFile | undefined>;
    /** What was found in the packages of the group, by their revision. */
    readonly group?: ReadonlyMap<string, GroupMember>;
  };
}

/** A file as the list of versions needs it. */
interface VersionFile {
  readonly version: string;
  readonly path: RepoPath;
  readonly leads: boolean;
  readonly at: number;
}

interface GroupMember {
  readonly revision: number;
  readonly plugin: PluginEntry | undefined;
}

const LIMITS: XmlLimits = { maxBytes: 8 * 1024 * 1024, maxDepth: 20, maxNodes: 600_000 };
export const MAX_METADATA_BYTES = LIMITS.maxBytes;
/** So many rows are looked at before others get their turn. */
const TURN_EVERY = 500;

export const metadataKind: DocumentKind<MavenMetadata> = {
  package: (name) => packageAt(isSnapshotFolder(name) ? splitPath(name as RepoPath).parent : name),
  prefix: (name) => (isSnapshotFolder(name) ? undefined : groupPrefix(name)),
  path: (name) => joinPath(name as RepoPath, METADATA_FILE),
  build: (source, name, previous) =>
    isSnapshotFolder(name) ? buildSnapshot(source, name, previous) : buildArtifact(source, name, previous),
  fetch(name, { settings }) {
    // An upstream without snapshots is not asked for them.
    if (isSnapshotFolder(name) && settings['handleSnapshots'] === false) return undefined;
    const path = joinPath(name as RepoPath, METADATA_FILE);
    return {
      key: path,
      path,
      package: metadataKind.package(name) ?? '',
      ask: { path },
      maxBytes: MAX_METADATA_BYTES,
      mediaType: 'application/xml',
    };
  },
  async parse(bytes, { name }) {
    return parseMetadata(readMetadata(bytes), name);
  },
  merge,
  filter,
  render: (doc) => ({ bytes: Buffer.from(render(doc)), mediaType: 'application/xml' }),
};

function readMetadata(bytes: Buffer): XmlNode {
  try {
    const root = readXmlNow(bytes, LIMITS);
    if (root.name !== 'metadata') throw new XmlProblem(`its top element is <${root.name.slice(0, 100)}>`);
    return root;
  } catch (error) {
    if (!(error instanceof XmlProblem)) throw error;
    throw new AppError('invalid', `This is no Maven metadata: ${error.message}.`, {}, { cause: error });
  }
}

export function isSnapshotFolder(name: string): boolean {
  return isSnapshot(name.slice(name.lastIndexOf('/') + 1));
}

/** The beginning of the names of all packages of the group that a folder stands for. */
function groupPrefix(folder: string): string {
  return `${folder.replaceAll('/', '.')}:`;
}

async function buildArtifact(
  source: DocumentSource,
  name: string,
  previous: MavenMetadata | undefined,
): Promise<MavenMetadata | undefined> {
  const known = previous?.read?.files as KnownRows<VersionFile | undefined> | undefined;
  const files = await followRows(source, packageAt(name), known, versionFileOf);
  const versions = new Map<string, VersionFile>();
  let updated = 0;
  for (const file of files.rows.values()) {
    if (!file) continue;
    updated = Math.max(updated, file.at);
    const found = versions.get(file.version);
    if (!found || (file.leads && !found.leads)) versions.set(file.version, file);
  }
  const group = await buildGroup(source, name, previous?.read?.group);
  const plugins = [...group.values()].flatMap(({ plugin }) => plugin ?? []);
  if (versions.size === 0 && plugins.length === 0) return undefined;
  return {
    folder: name,
    versions: await sorted([...versions.values()].map(({ version, path }) => ({ version, path }))),
    files: [],
    plugins: plugins.sort((one, other) => (one.prefix < other.prefix ? -1 : 1)),
    updated: updated === 0 ? '' : mavenTime(new Date(updated)),
    read: { files, group },
  };
}

function versionFileOf({ path, createdAt }: PackageVersion): VersionFile | undefined {
  const at = parseMavenPath(path);
  return at && { version: at.version, path, leads: isPom(at), at: createdAt.getTime() };
}

async function buildGroup(
  source: DocumentSource,
  name: string,
  previous: ReadonlyMap<string, GroupMember> | undefined,
): Promise<ReadonlyMap<string, GroupMember>> {
  const group = new Map<string, GroupMember>();
  for await (const { name: packageName, revision } of source.revisions(groupPrefix(name))) {
    const known = previous?.get(packageName);
    const member = known?.revision === revision ? known : { revision, plugin: await pluginOf(source, packageName) };
    group.set(packageName, member);
  }
  return group;
}

/** What the newest release of a plugin says; undefined for packages that are none. */
async function pluginOf(source: DocumentSource, packageName: string): Promise<PluginEntry | undefined> {
  const artifact = packageName.slice(packageName.indexOf(':') + 1);
  let found: { readonly row: PackageVersion; readonly plugin: NonNullable<RowMetadata['plugin']> } | undefined;
  let count = 0;
  for await (const row of rowsOf(source, packageName)) {
    count += 1;
    const { plugin } = row.metadata as RowMetadata;
    // What the jar says counts more than what follows from the POM.
    if (plugin && (plugin.own || !found?.plugin.own)) found = { row, plugin };
    // Who was none for so long will be none.
    if (count >= TURN_EVERY && !found) return undefined;
  }
  if (!found) return undefined;
  const { row, plugin } = found;
  return { prefix: plugin.prefix ?? prefixOf(artifact), artifact, name: plugin.name ?? artifact, path: row.path };
}

async function buildSnapshot(
  source: DocumentSource,
  name: string,
  previous: MavenMetadata | undefined,
): Promise<MavenMetadata | undefined> {
  const { parent, name: version } = splitPath(name as RepoPath);
  const known = previous?.read?.files as KnownRows<SnapshotFile | undefined> | undefined;
  const files = await followRows(source, packageAt(parent), known, (row) => snapshotFileOf(row, version));
  const newest = new Map<string, SnapshotFile>();
  for (const file of files.rows.values()) if (file) keepNewest(newest, file);
  if (newest.size === 0) return undefined;
  return {
    folder: name,
    versions: [],
    files: [...newest.values()],
    plugins: [],
    updated: lastOf(newest.values()),
    read: { files },
  };
}

/** Undefined for files of other versions. */
function snapshotFileOf({ path, createdAt }: PackageVersion, version: string): SnapshotFile | undefined {
  const at = parseMavenPath(path);
  if (at?.version !== version) return undefined;
  const time = timeOf(at);
  return {
    classifier: at.classifier ?? '',
    extension: at.extension,
    value: at.revision,
    updated: time === undefined ? mavenTime(createdAt) : time.replace('.', '').slice(0, 14),
    path,
  };
}

function keepNewest(newest: Map<string, SnapshotFile>, file: SnapshotFile): void {
  const key = `${file.classifier}/${file.extension}`;
  const known = newest.get(key);
  if (!known || compareFiles(file, known) > 0) newest.set(key, file);
}

/** Below zero when the first file is older. */
function compareFiles(one: SnapshotFile, other: SnapshotFile): number {
  if (one.updated !== other.updated) return one.updated < other.updated ? -1 : 1;
  return buildNumberOf(one.value) - buildNumberOf(other.value);
}

function buildNumberOf(value: string): number {
  return Number(/-(\d{1,15})$/.exec(value)?.[1] ?? 0);
}

function lastOf(files: Iterable<SnapshotFile>): string {
  let last = '';
  for (const { updated } of files) if (updated > last) last = updated;
  return last;
}

async function* rowsOf(source: DocumentSource, packageName: string): AsyncGenerator<PackageVersion> {
  let count = 0;
  for await (const row of source.versions(packageName)) {
    count += 1;
    if (count % TURN_EVERY === 0) await new Promise(setImmediate);
    yield row;
  }
}

function sorted(versions: readonly MetadataVersion[]): Promise<MetadataVersion[]> {
  return sortByMavenVersion(versions, ({ version }) => version);
}

async function merge(docs: readonly MavenMetadata[]): Promise<MavenMetadata> {
  const versions = new Map<string, MetadataVersion>();
  const files = new Map<string, SnapshotFile>();
  const plugins = new Map<string, PluginEntry>();
  let updated = '';
  for (const doc of docs) {
    for (const entry of doc.versions) if (!versions.has(entry.version)) versions.set(entry.version, entry);
    for (const file of doc.files) keepNewest(files, file);
    for (const plugin of doc.plugins) if (!plugins.has(plugin.prefix)) plugins.set(plugin.prefix, plugin);
    if (doc.updated > updated) updated = doc.updated;
  }
  return {
    folder: docs[0]?.folder ?? '',
    versions: await sorted([...versions.values()]),
    files: [...files.values()],
    plugins: [...plugins.values()],
    updated,
  };
}

function filter(doc: MavenMetadata, accepts: (path: RepoPath) => boolean): MavenMetadata | undefined {
  const seen = <T extends { readonly path: RepoPath }>(items: readonly T[]) =>
    items.filter(({ path }) => accepts(path));
  const [versions, files, plugins] = [seen(doc.versions), seen(doc.files), seen(doc.plugins)];
  if (versions.length + files.length + plugins.length === 0) return undefined;
  return { folder: doc.folder, versions, files, plugins, updated: doc.updated };
}

function render({ folder, versions, files, plugins, updated }: MavenMetadata): string {
  const lastUpdated = updated === '' ? undefined : updated;
  const entries = plugins.map(({ name, prefix, artifact }) => ({ name, prefix, artifactId: artifact }));
  return renderXml('metadata', {
    ...(isSnapshotFolder(folder)
      ? snapshotPart(folder, files, lastUpdated)
      : versions.length > 0 && artifactPart(folder, versions, lastUpdated)),
    ...(entries.length > 0 && { plugins: { plugin: entries } }),
  });
}

function artifactPart(folder: string, versions: readonly MetadataVersion[], lastUpdated: string | undefined) {
  const [group, artifact] = packageAt(folder).split(':');
  const names = versions.map(({ version }) => version);
  const latest = names.at(-1);
  return {
    groupId: group,
    artifactId: artifact,
    version: latest,
    versioning: {
      latest,
      release: names.findLast((version) => !isSnapshot(version)),
      versions: { version: names },
      lastUpdated,
    },
  };
}

function snapshotPart(folder: string, files: readonly SnapshotFile[], lastUpdated: string | undefined) {
  const { parent, name: version } = splitPath(folder as RepoPath);
  const [group, artifact] = packageAt(parent).split(':');
  const times = files.filter((file) => snapshotOf(file, version)).sort(compareFiles);
  const newest = times.at(-1);
  return {
    groupId: group,
    artifactId: artifact,
    version,
    versioning: {
      snapshot: newest && snapshotOf(newest, version),
      lastUpdated,
      snapshotVersions: {
        snapshotVersion: files.map(({ classifier, extension, value, updated }) => ({
          classifier: classifier === '' ? undefined : classifier,
          extension,
          value,
          updated,
        })),
      },
    },
  };
}

function snapshotOf({ value }: SnapshotFile, version: string) {
  const time = timeOf({ version, revision: value });
  if (time === undefined) return undefined;
  const at = time.indexOf('-');
  return { timestamp: time.slice(0, at), buildNumber: time.slice(at + 1) };
}

/** The time as Maven writes it, in UTC: `20260102030405`. */
export function mavenTime(date: Date): string {
  return date.toISOString().replace(/\D/g, '').slice(0, 14);
}
