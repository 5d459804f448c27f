/**
 * The tables, as both databases have them. Times are epoch milliseconds, booleans 0 or 1, documents JSON text.
 * Names and paths compare byte by byte.
 */
import type { Generated } from 'kysely';
import type { PackageRevisionTable, RepositoryRevisionTable } from './revision-tables.ts';

export interface Schema {
  repository: RepositoryTable;
  node: NodeTable;
  property: PropertyTable;
  package_version: PackageVersionTable;
  blob: BlobTable;
  blob_content: BlobContentTable;
  blob_alias: BlobAliasTable;
  blob_review: BlobReviewTable;
  object_trash: ObjectTrashTable;
  upload: UploadTable;
  multipart_upload: MultipartUploadTable;
  multipart_part: MultipartPartTable;
  event: EventTable;
  cursor: CursorTable;
  job: JobTable;
  schedule: ScheduleTable;
  user: UserTable;
  user_group: UserGroupTable;
  user_group_member: UserGroupMemberTable;
  token: TokenTable;
  permission_target: PermissionTargetTable;
  permission_grant: PermissionGrantTable;
  login_failure: LoginFailureTable;
  signing_key: SigningKeyTable;
  setting: SettingTable;
  statistic: StatisticTable;
  build: BuildTable;
  build_property: BuildPropertyTable;
  build_promotion: BuildPromotionTable;
  build_module: BuildModuleTable;
  build_module_property: BuildModulePropertyTable;
  build_artifact: BuildArtifactTable;
  build_dependency: BuildDependencyTable;
  archive: ArchiveTable;
  archive_entry: ArchiveEntryTable;
  refusal: RefusalTable;
  tree_operation: TreeOperationTable;
  empty_folder: EmptyFolderTable;
  package_revision: PackageRevisionTable;
  repository_revision: RepositoryRevisionTable;
  expected_file: ExpectedFileTable;
  shadowed_name: ShadowedNameTable;
  remote_item: RemoteItemTable;
  fetch_lease: FetchLeaseTable;
}

export interface RepositoryTable {
  /** Never used again, so rights and tokens given for a repository do not pass to its namesake. */
  id: Generated<number>;
  key: string;
  rclass: string;
  package_type: string;
  config: string;
  created_at: number;
  updated_at: number;
}

/** The file tree: a folder, or a file with the digest of its bytes. */
export interface NodeTable {
  id: Generated<number>;
  repo_id: number;
  /** Path of the folder it lies in, '' at the top. */
  parent: string;
  name: string;
  folder: number;
  sha256: string | null;
  size: number;
  media_type: string | null;
  /** The package a file belongs to, as its format named it. */
  package: string | null;
  /** What names this state of the file to clients, where its format wants another name than the SHA-256. */
  etag: string | null;
  created_at: number;
  created_by: string;
  modified_at: number;
  modified_by: string;
  /** What the client declared its bytes to be, where it did. */
  original_sha1: Generated<string | null>;
  original_md5: Generated<string | null>;
}

export interface PropertyTable {
  node_id: number;
  key: string;
  value: string;
}

/** What a format learned about the lead file of a release. */
export interface PackageVersionTable {
  node_id: number;
  repo_id: number;
  name: string;
  version: string;
  metadata: string;
  created_at: number;
  /** The revision of its package with which the row was last written; triggers keep it. */
  revision: Generated<number>;
}

/** Bytes at rest. A row exists only when the bytes are durable; a node may name only existing rows. */
export interface BlobTable {
  sha256: string;
  /** Null until somebody asks or the background job comes by. */
  sha1: string | null;
  md5: string | null;
  size: number;
  /** The object in the blob driver; null when the bytes are in `blob_content`. Never used twice. */
  store_key: string | null;
  created_at: number;
}

export interface BlobContentTable {
  sha256: string;
  bytes: Uint8Array;
}

/** Names other than SHA-256 that clients may use for the same bytes. */
export interface BlobAliasTable {
  algorithm: string;
  value: string;
  sha256: string;
}

/** Blobs that may have lost their last reference. */
export interface BlobReviewTable {
  sha256: string;
  review_after: number;
}

/** Objects to be deleted from the blob driver: nothing can reach them any more. */
export interface ObjectTrashTable {
  id: Generated<number>;
  store_key: string;
  not_before: number;
  attempts: number;
}

export interface UploadTable {
  id: string;
  repo_id: number;
  package: string;
  stage_id: string;
  received: number;
  principal: string;
  /** The digest it ended with; kept a while so that a repeated finish gets the same answer. */
  digest: string | null;
  created_at: number;
  touched_at: number;
}

/** An upload of one file in parts that may come in any order. */
export interface MultipartUploadTable {
  id: string;
  repo: string;
  path: string;
  /** Who began it, and alone may deploy what comes of it. */
  principal: string;
  /** No part may be larger. */
  part_bytes: number;
  state: 'parts' | 'queued' | 'processing' | 'finished' | 'interrupted' | 'failed' | 'aborted';
  /** What the client says the whole is. */
  sha1: string | null;
  /** What the whole is. */
  sha256: string | null;
  /** Percent of the bytes that are put together. */
  progress: number;
  error: string | null;
  created_at: number;
  touched_at: number;
}

export interface MultipartPartTable {
  upload_id: string;
  number: number;
  stage_id: string;
  size: number;
}

export interface EventTable {
  id: Generated<number>;
  type: string;
  repo: string | null;
  path: string | null;
  principal: string;
  payload: string;
  at: number;
}

export interface CursorTable {
  consumer: string;
  event_id: number;
}

export interface JobTable {
  id: Generated<number>;
  name: string;
  payload: string;
  dedupe_key: string | null;
  state: 'waiting' | 'running' | 'dead';
  priority: number;
  run_at: number;
  lease_until: number | null;
  /** Grows with each claim: an effect of an older claim is refused. */
  fence: number;
  attempts: number;
  last_error: string | null;
  created_at: number;
}

export interface ScheduleTable {
  name: string;
  every_ms: number;
  next_at: number;
}

export interface UserTable {
  id: string;
  name: string;
  email: string | null;
  /** Argon2id in the PHC string form; null for accounts without a password. */
  password: string | null;
  admin: number;
  enabled: number;
  /** Tokens issued before this moment are refused. */
  tokens_valid_after: number;
  /** Grows whenever what the account may do or how it proves itself changes. */
  version: number;
  created_at: number;
  last_login_at: number | null;
}

export interface UserGroupTable {
  id: string;
  name: string;
  description: string;
  auto_join: number;
  admin: number;
  created_at: number;
}

export interface UserGroupMemberTable {
  group_id: string;
  user_id: string;
}

export interface TokenTable {
  id: string;
  user_id: string;
  kind: string;
  /** HMAC of the secret part; null for signed tokens, which carry their own proof. */
  secret: string | null;
  scope: string | null;
  description: string;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
}

export interface PermissionTargetTable {
  id: Generated<number>;
  name: string;
  /** JSON arrays: repository keys or ANY, ANY LOCAL, ANY REMOTE; path patterns. */
  repositories: string;
  includes: string;
  excludes: string;
}

export interface PermissionGrantTable {
  target_id: number;
  kind: 'user' | 'group';
  /** Id of the user or group; `anonymous` for callers without credentials. */
  subject: string;
  actions: string;
}

export interface LoginFailureTable {
  /** What is counted: an account, an address prefix, or both together. */
  key: string;
  failures: number;
  window_start: number;
  blocked_until: number;
}

export interface SigningKeyTable {
  id: string;
  public_jwk: string;
  /** The private key, encrypted with the master key. */
  sealed_private: string;
  created_at: number;
  retired_at: number | null;
}

export interface SettingTable {
  key: string;
  value: string;
}

/** How often a file was fetched. Written in batches, so the last moments before a crash may be missing. */
export interface StatisticTable {
  node_id: number;
  downloads: number;
  downloaded_at: number | null;
  downloaded_by: string | null;
  /** The same at servers that fetch from this one. */
  remote_downloads: number;
  remote_downloaded_at: number | null;
  remote_downloaded_by: string | null;
}

/** One run of a build; its document is a file of the repository. */
export interface BuildTable {
  id: Generated<number>;
  repo_id: number;
  /** Its document; the rows go with it. */
  node_id: number | null;
  name: string;
  number: string;
  started_at: number;
  url: string | null;
  /** Promoted builds are kept whatever a retention says. */
  promoted: number;
  created_at: number;
  created_by: string;
  modified_at: number;
  modified_by: string;
}

export interface BuildPropertyTable {
  build_id: number;
  key: string;
  value: string;
}

export interface BuildPromotionTable {
  id: Generated<number>;
  build_id: number;
  status: string | null;
  repo: string | null;
  comment: string | null;
  ci_user: string | null;
  created_at: number;
  created_by: string;
}

export interface BuildModuleTable {
  id: Generated<number>;
  build_id: number;
  name: string;
  type: string | null;
}

export interface BuildModulePropertyTable {
  module_id: number;
  key: string;
  value: string;
}

export interface BuildArtifactTable {
  id: Generated<number>;
  module_id: number;
  name: string;
  type: string | null;
  path: string | null;
  /** Where the client says it deployed the file. */
  repo: string | null;
  sha1: string | null;
  md5: string | null;
  sha256: string | null;
}

export interface BuildDependencyTable {
  id: Generated<number>;
  module_id: number;
  name: string;
  type: string | null;
  /** JSON array. */
  scopes: string;
  sha1: string | null;
  md5: string | null;
  sha256: string | null;
}

/** Archives whose contents are known. */
export interface ArchiveTable {
  sha256: string;
  indexed_at: number;
  /** Why it could not be read. */
  problem: string | null;
}

export interface ArchiveEntryTable {
  sha256: string;
  /** Folder of the entry inside the archive, '' at its top. */
  path: string;
  name: string;
}

/** Requests that were refused or missed, with what decided it, kept for a while so that it can be explained. */
export interface RefusalTable {
  request_id: string;
  at: number;
  principal: string;
  method: string;
  address: string;
  repo: string | null;
  path: string | null;
  status: number;
  message: string;
  /** JSON array of sentences. */
  steps: string;
}

/** A copy, move or deletion that takes more than one transaction. */
export interface TreeOperationTable {
  id: Generated<number>;
  kind: 'copy' | 'move' | 'delete';
  repo_id: number;
  path: string;
  /** Nobody sees what lies at the path, and nothing can be put there, until the operation is done. */
  hides: number;
  /** JSON: all else that it was asked for. */
  request: string;
  state: 'running' | 'done';
  /** JSON: what came of it, for whoever waits. */
  result: string | null;
  /** How many files and folders it has treated. */
  items: number;
  created_at: number;
  created_by: string;
}

/** Folders from which something was deleted or moved away, to be removed if nothing is left in them. */
export interface EmptyFolderTable {
  repo_id: number;
  path: string;
}

/** A file that belongs into the folder of a lead file once it was fetched. */
export interface ExpectedFileTable {
  lead_id: number;
  repo_id: number;
  package: string;
  sha256: string;
  name: string;
  size: number;
  media_type: string;
}

/** A name of a local package that the upstream of a remote repository was asked for through a virtual one. */
export interface ShadowedNameTable {
  virtual_id: number;
  remote_id: number;
  name: string;
  reason: string;
  first_at: number;
  last_at: number;
}

/** What an upstream last said of a thing: which bytes it has, or that it has none. */
export interface RemoteItemTable {
  repo_id: number;
  key: string;
  /** The bytes that `etag` and `last_modified` are of. */
  sha256: string | null;
  etag: string | null;
  last_modified: string | null;
  checked_at: number;
  /** 0 for what is there. */
  absent_until: number;
  reason: string | null;
}

/** Who is asking an upstream for a thing, so that nobody else does. */
export interface FetchLeaseTable {
  repo_id: number;
  key: string;
  owner: string;
  expires_at: number;
  /** JSON: what is known of it before its bytes are here. */
  description: string | null;
  /** JSON: why nothing came of it, for those who waited. */
  outcome: string | null;
}
