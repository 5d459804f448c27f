/** How paths read as coordinates: group, artifact, version, classifier and extension. */
import { joinPath, type RepoPath } from '../../core/ids.ts';
import { layoutOf, parseLayoutPath } from '../../core/layouts.ts';

export interface Coordinates {
  readonly group: string;
  readonly artifact: string;
  /** As the folder has it: `1.0`, `1.0-SNAPSHOT`. */
  readonly version: string;
  /** As the name of the file has it: the same, or `1.0-20260102.030405-6`. */
  readonly revision: string;
  readonly classifier: string | undefined;
  readonly extension: string;
}

export const METADATA_FILE = 'maven-metadata.xml';
export const SNAPSHOT = 'SNAPSHOT';
/** Time and build number of a snapshot with a name of its own. */
export const TIMED = /^(\d{8})\.(\d{6})-(\d+)$/;

/** Endings that have a dot in them; a signature is an ending of its own behind that of the file. */
const EXTENSION = /^(?:(.*)\.)?((?:tar\.(?:gz|bz2|xz|zst|Z)|[^.]+)(?:\.asc)?)$/;
/** Layouts that lay out coordinates otherwise, in the order in which they are tried. */
const OTHER_LAYOUTS = ['sbt-default', 'ivy-default', 'gradle-default'];

/** What the path says where it is laid out as Maven does it; undefined for any other path. */
export function parseMavenPath(path: string): Coordinates | undefined {
  const segments = path.split('/');
  if (segments.length < 4) return undefined;
  const [artifact = '', version = '', file = ''] = segments.slice(-3);
  const group = segments.slice(0, -3).join('.');
  if (!file.startsWith(`${artifact}-`)) return undefined;
  const rest = file.slice(artifact.length + 1);
  const revision = revisionIn(rest, version);
  if (revision === undefined) return undefined;
  const tail = rest.slice(revision.length);
  if (!tail.startsWith('.') && !tail.startsWith('-')) return undefined;
  // Behind a dot there is no classifier, so all of it is the extension.
  if (tail.startsWith('.')) {
    const extension = tail.slice(1);
    return extension === '' ? undefined : { group, artifact, version, revision, classifier: undefined, extension };
  }
  const [, classifier, extension] = EXTENSION.exec(tail.slice(1)) ?? [];
  if (classifier === undefined || classifier === '' || extension === undefined) return undefined;
  return { group, artifact, version, revision, classifier, extension };
}

function revisionIn(rest: string, version: string): string | undefined {
  if (rest.startsWith(version)) return version;
  if (!isSnapshot(version)) return undefined;
  const base = version.slice(0, -SNAPSHOT.length);
  const time = rest.startsWith(base) ? /^\d{8}\.\d{6}-\d+/.exec(rest.slice(base.length))?.[0] : undefined;
  return time === undefined ? undefined : base + time;
}

/** Whether a version is one that is still being worked on. */
export function isSnapshot(version: string): boolean {
  return version === SNAPSHOT || version.endsWith(`-${SNAPSHOT}`);
}

/** The time and build number of a revision; undefined for those that have none. */
export function timeOf({ version, revision }: Pick<Coordinates, 'version' | 'revision'>): string | undefined {
  const time = isSnapshot(version) ? revision.slice(version.length - SNAPSHOT.length) : '';
  return TIMED.test(time) ? time : undefined;
}

/** The package of a file, and what its row in it is called: a POM leads its release, other files stand behind it. */
export function rowOf(path: string): { readonly package: string; readonly version: string } | undefined {
  const at = parseMavenPath(path);
  if (at) {
    const name = packageName(at.group, at.artifact);
    return { package: name, version: isPom(at) ? at.revision : `${at.revision}/${tailOf(path, 1)}` };
  }
  const release = releaseOf(path);
  return release && { package: release.package, version: `${release.version}/${tailOf(path, 2)}` };
}

export function isPom({ extension, classifier }: Pick<Coordinates, 'extension' | 'classifier'>): boolean {
  return extension === 'pom' && classifier === undefined;
}

function tailOf(path: string, segments: number): string {
  return path.split('/').slice(-segments).join('/');
}

/** The package and the version that a file is of, in whichever of the layouts of these types its path is. */
export function releaseOf(path: string): { readonly package: string; readonly version: string } | undefined {
  const maven = parseMavenPath(path);
  if (maven) return { package: packageName(maven.group, maven.artifact), version: maven.revision };
  for (const name of OTHER_LAYOUTS) {
    const layout = layoutOf(name);
    const said = layout && parseLayoutPath(layout, path);
    if (!said?.org || !said.module || !said.baseRev) continue;
    const revision = said.fileItegRev ?? said.folderItegRev;
    const version = revision === undefined ? said.baseRev : `${said.baseRev}-${revision}`;
    return { package: packageName(said.org, said.module), version };
  }
  return undefined;
}

export function packageName(group: string, artifact: string): string {
  return `${group}:${artifact}`;
}

/** The folder in which the versions of a package lie. */
export function folderOf(name: string): RepoPath {
  const [group = '', artifact] = name.split(':');
  const folder = group.replaceAll('.', '/') as RepoPath;
  return artifact === undefined || artifact === '' ? folder : joinPath(folder, artifact);
}

/** The package whose versions lie in a folder. */
export function packageAt(folder: string): string {
  const at = folder.lastIndexOf('/');
  return packageName(folder.slice(0, Math.max(at, 0)).replaceAll('/', '.'), folder.slice(at + 1));
}
