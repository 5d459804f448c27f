/** Folders, and whole repositories, as one archive: what their reader may see of them. */
import { Readable } from 'node:stream';
import { AppError } from '../core/errors.ts';
import { clip, joinPath, type RepoPath } from '../core/ids.ts';
import type { PlainReply } from '../core/protocol.ts';
import type { Asset, Descendant, Repository } from '../core/repository.ts';
import type { ArchiveKind } from '../lib/archives/archive.ts';
import { type ArchivedFile, writeArchive } from '../lib/archives/write.ts';
import { attachmentHeader } from '../lib/content-disposition.ts';

export interface FolderArchiveLimits {
  readonly enabled: boolean;
  readonly enabledForAnonymous: boolean;
  readonly maxFiles: number;
  readonly maxBytes: number;
  readonly maxConcurrent: number;
}

interface ArchiveFormat {
  readonly kind: ArchiveKind;
  readonly mediaType: string;
}

const KINDS: Readonly<Record<string, ArchiveFormat>> = {
  zip: { kind: 'zip', mediaType: 'application/zip' },
  tar: { kind: 'tar', mediaType: 'application/x-tar' },
  'tar.gz': { kind: 'tar.gz', mediaType: 'application/x-gzip' },
  tgz: { kind: 'tar.gz', mediaType: 'application/x-gzip' },
};
const PAGE = 500;

export class FolderArchives {
  readonly #limits: FolderArchiveLimits;
  #running = 0;

  constructor(limits: FolderArchiveLimits) {
    this.#limits = limits;
  }

  /** Answers with the folder as an archive, made while it is sent; refuses before that what is not allowed. */
  async reply(
    repo: Repository,
    folder: RepoPath,
    options: { readonly type: string; readonly withChecksums: boolean; readonly authenticated: boolean },
  ): Promise<PlainReply> {
    const { type, withChecksums } = options;
    const format = this.#requireFormat(options);
    if (!(await repo.folder(folder))) {
      const what = clip(joinPath(repo.key, folder), 300);
      if (await repo.get(folder)) throw new AppError('invalid', `"${what}" is a file: only folders become archives.`);
      throw new AppError('not_found', `There is no folder "${what}".`);
    }
    const files = await this.#list(repo, folder);
    const name = `${folder.slice(folder.lastIndexOf('/') + 1) || repo.key}.${type}`;
    return this.#answer(format, name, filesOf(repo, folder, files, withChecksums));
  }

  /** The same with files chosen elsewhere, by their names in the archive. */
  replyWith(
    files: ReadonlyMap<string, Asset>,
    options: { readonly name: string; readonly type: string; readonly authenticated: boolean },
  ): PlainReply {
    const format = this.#requireFormat(options);
    this.#requireSize(
      files.size,
      [...files.values()].reduce((sum, { size }) => sum + size, 0),
    );
    async function* named(): AsyncGenerator<ArchivedFile> {
      for (const [name, { size, modifiedAt, content }] of files) {
        yield { name, size, modifiedAt, open: () => content.open() };
      }
    }
    return this.#answer(format, `${options.name}.${options.type}`, named());
  }

  #answer(format: ArchiveFormat, name: string, files: AsyncIterable<ArchivedFile>): PlainReply {
    return {
      status: 200,
      pieces: this.#write(format.kind, files),
      headers: {
        'Content-Type': format.mediaType,
        'Content-Disposition': attachmentHeader(name),
        'Cache-Control': 'no-store',
      },
    };
  }

  #requireFormat({ type, authenticated }: { readonly type: string; readonly authenticated: boolean }): ArchiveFormat {
    this.#requireAllowed(authenticated);
    const format = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
    if (format) return format;
    throw new AppError(
      'invalid',
      `"${clip(type)}" is no type of archive: "archiveType" must be zip, tar, tar.gz or tgz.`,
    );
  }

  #requireSize(files: number, bytes: number): void {
    const { maxFiles, maxBytes } = this.#limits;
    if (files > maxFiles) throw tooLarge(`more than ${maxFiles} files`);
    if (bytes > maxBytes) throw tooLarge(`more than ${maxBytes} bytes`);
  }

  #requireAllowed(authenticated: boolean): void {
    const { enabled, enabledForAnonymous, maxConcurrent } = this.#limits;
    if (!enabled) throw new AppError('forbidden', 'Downloading folders is switched off on this server.');
    if (!authenticated && !enabledForAnonymous) throw new AppError('unauthenticated', 'Authentication is required.');
    if (this.#running < maxConcurrent) return;
    throw new AppError('rate_limited', `${maxConcurrent} folders are being downloaded already. Try again later.`, {
      retryAfterSeconds: 30,
    });
  }

  /** All that is in the folder and may be read, which must be known before the first byte is sent. */
  async #list(repo: Repository, folder: RepoPath): Promise<readonly Descendant[]> {
    const files: Descendant[] = [];
    let bytes = 0;
    for (let after: RepoPath | undefined; ; ) {
      const { found, next } = await repo.descendants(folder, { ...(after !== undefined && { after }), limit: PAGE });
      for (const node of found) {
        if (node.folder) continue;
        files.push(node);
        bytes += node.size;
        this.#requireSize(files.length, bytes);
      }
      if (next === undefined) return files;
      after = next;
      await new Promise(setImmediate);
    }
  }

  async *#write(kind: ArchiveKind, files: AsyncIterable<ArchivedFile>): AsyncGenerator<Buffer> {
    this.#running += 1;
    try {
      yield* writeArchive(kind, files);
    } finally {
      this.#running -= 1;
    }
  }
}

function tooLarge(what: string): AppError {
  return new AppError('too_large', `It would be ${what}, which is the limit for an archive. Download parts of it.`);
}

/** What has gone since the folder was looked through is left out. */
async function* filesOf(
  repo: Repository,
  folder: RepoPath,
  files: readonly Descendant[],
  withChecksums: boolean,
): AsyncGenerator<ArchivedFile> {
  for (const { path } of files) {
    const asset = await repo.get(path);
    if (!asset) continue;
    const name = folder === '' ? path : path.slice(folder.length + 1);
    yield { name, size: asset.size, modifiedAt: asset.modifiedAt, open: () => asset.content.open() };
    if (withChecksums) yield* checksumFiles(name, asset);
  }
}

async function* checksumFiles(name: string, asset: Asset): AsyncGenerator<ArchivedFile> {
  const { sha1, sha256, md5 } = await asset.checksums();
  for (const [ending, value] of Object.entries({ sha1, sha256, md5 })) {
    const bytes = Buffer.from(value);
    const open = async () => Readable.from([bytes]);
    yield { name: `${name}.${ending}`, size: bytes.length, modifiedAt: asset.modifiedAt, open };
  }
}
