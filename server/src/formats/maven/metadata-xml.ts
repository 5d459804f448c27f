/** What an upstream's `maven-metadata.xml` says. Elements that are not known, and values that cannot be, are passed over. */
import { joinPath, type RepoPath, splitPath } from '../../core/ids.ts';
import { childOf, textOf, type XmlNode } from '../../lib/xml-reader.ts';
import type { MavenMetadata, PluginEntry, SnapshotFile } from './metadata.ts';
import { isSnapshot, METADATA_FILE, TIMED } from './paths.ts';
import { sortByMavenVersion } from './version-order.ts';

const VERSION = /^[^\s/\\:"<>|?*\p{Cc}]{1,200}$/u;
const NAME = /^[\w.-]{1,200}$/;
const TIME = /^\d{14}$/;

/** The document in a folder. */
export async function parseMetadata(root: XmlNode, folder: string): Promise<MavenMetadata> {
  const versioning = childOf(root, 'versioning');
  const { parent, name: last } = splitPath(folder as RepoPath);
  const artifact = splitPath(parent).name;
  const isOfSnapshot = isSnapshot(last);
  const updated = timeIn(versioning, 'lastUpdated');
  return {
    folder,
    versions: isOfSnapshot ? [] : await versionsIn(versioning, folder as RepoPath, last),
    files: isOfSnapshot ? filesIn(versioning, { folder: folder as RepoPath, artifact, version: last, updated }) : [],
    plugins: pluginsIn(root, folder as RepoPath),
    updated,
  };
}

async function versionsIn(
  versioning: XmlNode | undefined,
  folder: RepoPath,
  artifact: string,
): Promise<MavenMetadata['versions']> {
  const names = (childOf(versioning, 'versions')?.children ?? [])
    .filter(({ name, text }) => name === 'version' && isVersion(text))
    .map(({ text }) => text);
  const sorted = await sortByMavenVersion([...new Set(names)], (version) => version);
  return sorted.map((version) => ({ version, path: joinPath(folder, `${version}/${artifact}-${version}.pom`) }));
}

interface Snapshot {
  readonly folder: RepoPath;
  readonly artifact: string;
  readonly version: string;
  readonly updated: string;
}

function filesIn(versioning: XmlNode | undefined, { folder, artifact, version, updated }: Snapshot): SnapshotFile[] {
  const at = (value: string, classifier: string, extension: string): RepoPath =>
    joinPath(folder, `${artifact}-${value}${classifier === '' ? '' : `-${classifier}`}.${extension}`);
  const listed = (childOf(versioning, 'snapshotVersions')?.children ?? []).flatMap((node): SnapshotFile[] => {
    const [classifier, extension, value] = [
      textOf(node, 'classifier') ?? '',
      textOf(node, 'extension') ?? '',
      textOf(node, 'value') ?? '',
    ];
    if (!isVersion(value) || !isVersion(extension) || (classifier !== '' && !isVersion(classifier))) return [];
    const changed = timeIn(node, 'updated');
    const path = at(value, classifier, extension);
    return [{ classifier, extension, value, updated: changed === '' ? updated : changed, path }];
  });
  if (listed.length > 0) return listed;
  // Upstreams of old say only which snapshot is the newest.
  const snapshot = childOf(versioning, 'snapshot');
  const time = `${textOf(snapshot, 'timestamp')}-${textOf(snapshot, 'buildNumber')}`;
  if (!TIMED.test(time)) return [];
  const value = version.replace(/SNAPSHOT$/, time);
  return ['jar', 'pom'].map((extension) => ({
    classifier: '',
    extension,
    value,
    updated: time.replace('.', '').slice(0, 14),
    path: at(value, '', extension),
  }));
}

function pluginsIn(root: XmlNode, folder: RepoPath): PluginEntry[] {
  return (childOf(root, 'plugins')?.children ?? []).flatMap((node): PluginEntry[] => {
    const [prefix, artifact] = [textOf(node, 'prefix') ?? '', textOf(node, 'artifactId') ?? ''];
    if (!NAME.test(prefix) || !NAME.test(artifact)) return [];
    const name = (textOf(node, 'name') ?? artifact).slice(0, 300);
    return [{ prefix, artifact, name, path: joinPath(folder, `${artifact}/${METADATA_FILE}`) }];
  });
}

function isVersion(text: string): boolean {
  return VERSION.test(text) && text !== '.' && text !== '..';
}

function timeIn(node: XmlNode | undefined, name: string): string {
  const text = textOf(node, name)?.replace(/\D/g, '') ?? '';
  return TIME.test(text) ? text : '';
}
