/** One request of the content plane, once it is known which repository and which path it is about. */
import type { Authentication } from '../../auth/authenticator.ts';
import type { Format } from '../../core/format.ts';
import { encodePath, joinPath, type RepoPath, type Sha256 } from '../../core/ids.ts';
import type { Layout } from '../../core/layouts.ts';
import type { PlainReply } from '../../core/protocol.ts';
import type { Asset, Content, Repository, UploadedBytes } from '../../core/repository.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { Turns } from '../../lib/turns.ts';
import type { Turnstile } from '../../lib/turnstile.ts';
import type { FolderArchives } from '../../repositories/folder-archive.ts';
import type { WantedBytes } from '../../repositories/holders.ts';
import type { Relocation, RelocationResult } from '../../repositories/relocate.ts';
import type { EntryLimits } from './archive-entry.ts';
import type { ExplodeLimits } from './explode.ts';
import type { PlainPath } from './plain-path.ts';

export interface ContentRequest {
  readonly exchange: Exchange;
  readonly caller: Authentication;
  readonly repo: Repository;
  readonly format: Format | undefined;
  /** How paths of the repository read. */
  readonly layout: Layout | undefined;
  readonly plain: PlainPath;
  readonly query: URLSearchParams;
  /** What would be sent is only told of, so no bytes are fetched for it. */
  readonly withoutBytes?: boolean;
  /** How folders are shown: as pages for people, or as bare links. */
  readonly style: 'page' | 'simple';
  readonly archives: ExplodeLimits & EntryLimits;
  readonly folderArchives: FolderArchives;
  /** Where those who look into archives wait for each other. */
  readonly looking: Turnstile;
  /** Where those who have names made for their files wait for each other. */
  readonly naming: Turns;
  /** Deletes what lies at the path, as the caller may. */
  deleteItem(path: RepoPath): Promise<void>;
  /** Copies or moves with the rights of the caller. */
  relocate(relocation: Omit<Relocation, 'principal'>): Promise<RelocationResult>;
  /** Another repository for the same caller. */
  repositoryOf(key: string): Repository | undefined;
  /** A file with these bytes, in any repository, that the caller may read. */
  findHolder(wanted: WantedBytes): Promise<Asset | undefined>;
  /** Bytes that are stored under the digest; for those who may have them. */
  contentOf(sha256: Sha256): Promise<Content | undefined>;
  /** What the caller uploaded in parts, by the token for it. */
  uploaded(token: string): Promise<UploadedBytes | undefined>;
}

/** The address of a path in a repository, as the client reaches it. */
export function uriOf({ exchange, repo }: Pick<ContentRequest, 'exchange' | 'repo'>, path: string): string {
  return `${exchange.origin}/artifactory/${encodePath(joinPath(repo.key, path))}`;
}

/**
 * A JSON answer in the character set that clients of this plane are told of. What that lacks is escaped, so that the
 * text reads the same as UTF-8.
 */
export function latinJson(
  status: number,
  mediaType: string,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): PlainReply {
  const text = JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return {
    status,
    bytes: Buffer.from(text),
    headers: { 'Content-Type': `${mediaType};charset=ISO-8859-1`, ...headers },
  };
}
