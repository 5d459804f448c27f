/** What the document of a build says, as searches and listings know it. The document itself is a file. */

export interface BuildRecord {
  readonly name: string;
  readonly number: string;
  readonly startedAt: Date;
  readonly url: string | undefined;
  readonly properties: readonly BuildProperty[];
  readonly promotions: readonly BuildPromotion[];
  readonly modules: readonly BuildModule[];
}

export interface BuildProperty {
  readonly key: string;
  readonly value: string;
}

export interface BuildPromotion {
  readonly status: string | undefined;
  readonly repo: string | undefined;
  readonly comment: string | undefined;
  readonly ciUser: string | undefined;
  readonly at: Date;
  readonly by: string;
}

export interface BuildModule {
  readonly name: string;
  readonly type: string | undefined;
  readonly properties: readonly BuildProperty[];
  readonly artifacts: readonly BuildArtifact[];
  readonly dependencies: readonly BuildDependency[];
}

/** Names of the same bytes, as the client gave them; what is no checksum is left out. */
export interface BuildFile {
  readonly name: string;
  readonly type: string | undefined;
  readonly sha1: string | undefined;
  readonly md5: string | undefined;
  readonly sha256: string | undefined;
}

export interface BuildArtifact extends BuildFile {
  readonly path: string | undefined;
  /** Where the client says it deployed the file. */
  readonly repo: string | undefined;
}

export interface BuildDependency extends BuildFile {
  readonly scopes: readonly string[];
}
