/** What people are shown of packages: how a format's rows read as versions, and what each version says of itself. */
import type { RepoPath } from './ids.ts';
import type { Repository } from './repository.ts';

/** How a format shows its packages. */
export interface PackageView {
  /** The version that a row belongs to; undefined for rows of none. Without it, what stands before the first slash. */
  versionOf?(row: string): string | undefined;
  /** How the names of a version's rows begin, beside the row that has its name; without it, the version and a slash. */
  rowPrefix?(version: string): string;
  /** The order of versions. Without it they come in the order of their creation. */
  readonly order?: VersionOrder<unknown>;
  /** Whether it is the latest only where there is nothing else: candidates, snapshots, what nobody gave a name. */
  isPreliminary?(version: string): boolean;
  /** The property of a file that holds the tags which point to its version. */
  readonly tagProperty?: string;
  /** Whether all that lies in the folder of a version's file belongs to the version. */
  readonly wholeFolder?: boolean;
  /** Where files lie that belong to the one at the path, if they are there. */
  beside?(path: RepoPath): readonly RepoPath[];
  /** What the version says of itself: from its rows, and from its files for what rows leave out. */
  describe(release: ShownRelease): Promise<Description>;
}

/** How versions are put in order: each is read once, then compared with others. */
export interface VersionOrder<Key> {
  key(version: string): Key;
  /** Below zero when the first is older. */
  compare(one: Key, other: Key): number;
}

/** The one cast that lets formats keep the types of their keys to themselves. */
export function versionOrder<Key>(order: VersionOrder<Key>): VersionOrder<unknown> {
  return order as VersionOrder<unknown>;
}

/** A version as one caller may see it. */
export interface ShownRelease {
  readonly package: string;
  readonly version: string;
  readonly packageType: string;
  /** The one that has the name of the version comes first. */
  readonly rows: readonly ShownRow[];
  readonly repo: Pick<Repository, 'get' | 'find'>;
}

export interface ShownRow {
  /** As the row is called. */
  readonly row: string;
  readonly path: RepoPath;
  readonly metadata: unknown;
}

/** In one shape for all formats. Texts are what strangers wrote: plain text, within limits. */
export interface Description {
  /** Its name for people, where it has another than the package. */
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly licenses?: readonly string[];
  /** http and https only, like all addresses here. */
  readonly homepage?: string | undefined;
  readonly source?: string | undefined;
  readonly issues?: string | undefined;
  readonly authors?: readonly Person[];
  readonly keywords?: readonly string[];
  readonly dependencies?: readonly Dependency[];
  /** Why it should not be used any more; an empty text where no reason was given. */
  readonly deprecated?: string | undefined;
  /** What else is worth a line, under names for people: "Node", "Packaging", "Platform". */
  readonly facts?: readonly Fact[];
  readonly readme?: Readme | undefined;
  readonly image?: ImageDescription | undefined;
}

export interface Person {
  readonly name: string;
  readonly email?: string;
  readonly url?: string;
}

export interface Dependency {
  readonly name: string;
  /** As it is written; empty where any version will do. */
  readonly range: string;
  /** When it is needed, in the words of the format. */
  readonly scope: string;
  readonly optional?: true;
}

export interface Fact {
  readonly name: string;
  readonly value: string;
}

export interface Readme {
  readonly text: string;
  /** `text/markdown`, `text/x-rst`, `text/plain`. Whoever shows it must make it harmless. */
  readonly mediaType: string;
  /** Only its beginning is given. */
  readonly truncated: boolean;
}

/** What an image is made of. */
export interface ImageDescription {
  readonly digest: string;
  readonly mediaType: string;
  readonly platform?: string | undefined;
  readonly createdAt?: string | undefined;
  readonly layers: readonly { readonly digest: string; readonly mediaType: string; readonly size: number }[];
  readonly history: readonly { readonly createdBy: string; readonly empty: boolean }[];
  readonly labels: readonly Fact[];
  /** Of an index: the images it names. */
  readonly images: readonly {
    readonly digest: string;
    readonly mediaType: string;
    readonly size: number;
    readonly platform?: string | undefined;
  }[];
}

/** The version that a row belongs to; undefined for rows of none. */
export function versionOfRow(view: PackageView, row: string): string | undefined {
  if (view.versionOf) return view.versionOf(row);
  const version = row.split('/', 1)[0] as string;
  return version === '' || version === '@' ? undefined : version;
}
