/** What a package type is: how a path reads, what an upload means, and what its clients say on the wire. */
import type { DocumentKind, OpaqueDoc } from './document.ts';
import type { Checksums, Digest, Properties, RepoPath, Sha256 } from './ids.ts';
import type { PackageView } from './package-view.ts';
import type { Failure, ProtocolContext, Reply, Route, ServiceContext } from './protocol.ts';
import type { PublicUpstream } from './public-upstream.ts';
import type { RemoteRules } from './remote.ts';
import type { Content, Repository } from './repository.ts';
import type { ClientSetup, SetUpFor, SetUpRepository } from './setup.ts';

/** How a path reads. Every decision a repository class takes follows from this. */
export type PathKind =
  | { readonly kind: 'artifact'; readonly mutable: boolean }
  | {
      readonly kind: 'document';
      readonly document: string;
      readonly name: string;
      /** Whether clients that put it themselves are told that all is well. */
      readonly puts: 'taken' | 'refused';
    }
  | { readonly kind: 'checksum'; readonly of: RepoPath; readonly algorithm: 'sha512' | 'sha256' | 'sha1' | 'md5' }
  | { readonly kind: 'reserved' };

/** Where a format's own protocol lives: the URL path before `{repo}` and the one between it and the routes. */
export interface Mount {
  readonly before: string;
  readonly after: string;
  /** Whether the repository may be bound by host name or port instead of by the path. */
  readonly bindable?: boolean;
  /** How clients that take this server for a mirror of another say of which one. */
  readonly namespaces?: {
    /** The parameter of the query that names it. */
    readonly parameter: string;
    /** The header by which an answer tells that the parameter was understood. */
    readonly header: string;
    /** The one that is meant by clients that know no such parameter. */
    readonly unnamed: string;
  };
  /** Routes of this mount; those of the format without it. */
  readonly routes?: readonly Route[];
  /** Routes of this mount that name no repository; those of the format without it. */
  readonly serviceRoutes?: readonly Route<ServiceContext>[];
}

/** What a file is at the path to which a copy or a move brings it. */
export interface Placement {
  readonly package: string;
  /** The version it leads there, if it leads one. */
  readonly version?: string;
  /** Set over what the file brings along. */
  readonly properties?: Properties;
}

/** A file that was put at a path, before it is deposited. */
export interface Incoming {
  readonly path: RepoPath;
  readonly content: Content;
  readonly checksums: Checksums;
  readonly settings: Repository['settings'];
  /** What whoever put it says of it. */
  readonly properties?: Properties;
  /** Of the repository that is to keep it; what it has from an upstream is not refused. */
  readonly packageType?: string;
  readonly rclass?: Repository['rclass'];
}

/** The property that says why no index names a file. */
export const UNINDEXED = 'entrepot.unindexed';

/** What a format read from the bytes of a file. */
export interface Ingested {
  readonly mediaType?: string;
  /**
   * Makes it the lead file of a release. Where a release has several files, each has a name of its own within it,
   * behind the version: `1.0.0/app-1.0.0.tar.gz`.
   */
  readonly version?: {
    readonly package: string;
    readonly version: string;
    readonly metadata: unknown;
    /** Says why the file is refused where the release is at another path already. */
    readonly sole?: (path: RepoPath) => string;
  };
  readonly properties?: Properties;
  /** Why it is kept but stands in no index, in a sentence for people. */
  readonly unindexed?: string;
}

/** What says where a file is kept. */
export interface SettledIn extends Pick<Repository, 'settings' | 'children'> {
  /** Whether the file is there already, and only its name is asked for. */
  readonly stored: boolean;
  /** Other files that are put in the same change. */
  readonly together?: readonly RepoPath[];
}

/** Makes other bytes of a file. */
export interface Adaptation {
  /** Names what is made: two of the same name make the same of the same bytes. */
  readonly name: string;
  readonly maxBytes: number;
  /** Undefined where nothing is to be changed. */
  apply(bytes: Buffer): Promise<Buffer | undefined>;
}

export interface Format {
  /** The package types this format serves; the first is its name. */
  readonly packageTypes: readonly string[];
  readonly mounts: readonly Mount[];
  /** Pure and total. */
  classify(path: RepoPath): PathKind;
  /** Refuses, as `invalid`, a key that its clients could not address. */
  checkKey?(key: string): void;
  /**
   * Reads what a file put by plain path is, by ranges and within limits. Throws what the client is told where the file
   * is not to be kept. Asked again for what a remote repository fetched, where it only adds to what is known.
   */
  ingest?(file: Incoming): Promise<Ingested>;
  /** The package whose file lies at the path, where paths tell. */
  packageOf?(path: RepoPath): string | undefined;
  /** Files that lie beside the one at the path and say something of it alone: they are deleted with it. */
  attached?(path: RepoPath): readonly RepoPath[];
  /** The folder in which a package lies; without it, the one of its name. */
  folderOf?(packageName: string): RepoPath;
  /**
   * Where a file that is put at the path is kept, where the settings of the repository give it another name. A path
   * that was made for it must be free.
   */
  settle?(path: RepoPath, repo: SettledIn): Promise<{ readonly path: RepoPath; readonly made: boolean }>;
  /**
   * Whether SHA-1 and MD5 files are there only once a client has said what is in them, unless the repository makes them
   * itself: clients that find one take the file for published already.
   */
  readonly clientChecksums?: boolean;
  /** The file that a path stands for, where another file than the one of its name is the newest. */
  newest?(path: RepoPath, repo: Pick<Repository, 'document'>): Promise<RepoPath | undefined>;
  /** How a virtual repository gives a file otherwise than its member has it; undefined where it does not. */
  adapt?(path: RepoPath, settings: Repository['settings']): Adaptation | undefined;
  /**
   * The beginning that the names of one owner's packages share, such as a scope: where a local repository has one of
   * them, remotes beside it are not asked for the others. Without it each name stands for itself.
   */
  territory?(packageName: string): string;
  /** How its packages are shown to people; without it there are none to be shown. */
  readonly view?: PackageView;
  /** Without it, the upstream is asked for files by their paths. */
  readonly remote?: RemoteRules;
  /** What a first start gives the remote repository of the format; formats without it get none. */
  readonly publicUpstream?: PublicUpstream;
  readonly documents?: Readonly<Record<string, DocumentKind<OpaqueDoc>>>;
  /** What the lead file of a version names and is useless without, all of it in the same package. */
  references?(bytes: Buffer, mediaType: string): readonly Digest[];
  /** What a deposit at the path belongs to, where the settings keep only so many of something; asked in the change. */
  retentionScope?(path: RepoPath, settings: Repository['settings']): string | undefined;
  /** Removes what the settings say is too much of it, as the server itself; calls `proceed` between its changes. */
  retain?(repo: Repository, scope: string, proceed: () => Promise<void>): Promise<void>;
  /** The folder of a package in which files wait for something to name them; what waits too long there is removed. */
  readonly waitingFolder?: string;
  /**
   * What a file becomes at a path to which it is copied or moved, for formats in which a path means something;
   * undefined for what belongs to work under way and is not taken along. Throws `conflict` where it cannot lie.
   */
  place?(path: RepoPath): Placement | undefined;
  /**
   * What the row of a release is called at a path to which its file is copied or moved, for formats without `place` in
   * which several files can be one release: the row of another file stays with that.
   */
  rowAt?(path: RepoPath, release: { readonly package: string; readonly version: string }): string;
  /** Releases that others are made of, for formats that have them: they go along with what names them. */
  readonly companions?: {
    /** Holds, with a release, the digests of those it names. */
    readonly property: string;
    /** Where one lies that only its digest names. */
    folder(packageName: string, sha256: Sha256): RepoPath;
  };
  readonly routes: readonly Route[];
  /** Routes below a mount that name no repository: ping, token, catalogue. */
  readonly serviceRoutes?: readonly Route<ServiceContext>[];
  /** The protocol's own error body and challenge. */
  renderFailure?(failure: Failure): Reply;
  /** Headers of every answer of this protocol. */
  readonly commonHeaders?: Readonly<Record<string, string>>;
  /** What a file put by plain path is taken for. Formats without a say take it as it is. */
  readonly plainPaths?: boolean;
  /** How its clients are set up for a repository. Pure; holds places for secrets, never one. */
  setup?(repo: SetUpRepository, reader: SetUpFor): readonly ClientSetup[];
  /** Answers a request that matched no route: a protocol may explain itself better than a bare 404. */
  fallback?(context: ProtocolContext): Reply;
}
