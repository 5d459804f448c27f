/** The content plane: any file of any repository under its plain path, as the REST API of Artifactory has it. */
import type { Authentication, Authenticator } from '../auth/authenticator.ts';
import { readAll } from '../core/bodies.ts';
import { AppError } from '../core/errors.ts';
import type { Format } from '../core/format.ts';
import { clip, joinPath, type RepoPath } from '../core/ids.ts';
import { nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { Asset, Repository } from '../core/repository.ts';
import type { Call, Exchange } from '../http/exchange.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { claimedChecksums } from './claimed-checksums.ts';
import { mediaTypeOf } from './media-types.ts';
import { type PlainPath, parsePlainPath } from './plain-path.ts';
import { refusalOfUnserved } from './unserved.ts';

export interface ContentDeps {
  readonly formats: readonly Format[];
  readonly repositories: RepositoryDirectory;
  readonly authenticator: Authenticator;
  /** Brought up to date before a request asks for rights. */
  readonly permissions: { readonly isFresh: boolean; refresh(): Promise<void> };
}

const PREFIX = 'artifactory';
const RESERVED = new Set(['api', 'webapp', 'ui']);
/** How addresses of a file's properties end, in whatever case. */
const PROPERTIES = /:properties$/i;

export class ContentPlane {
  readonly #deps: ContentDeps;
  constructor(deps: ContentDeps) {
    this.#deps = deps;
  }

  begin(exchange: Exchange): Call | undefined {
    const [context, key = ''] = exchange.target.decoded;
    if (context !== PREFIX || key === '' || RESERVED.has(key)) return undefined;
    exchange.note.area = 'content';
    return new ContentCall(this.#deps, exchange, key.split(';', 1)[0] ?? '');
  }
}

class ContentCall implements Call {
  readonly #deps: ContentDeps;
  readonly #exchange: Exchange;
  readonly #key: string;

  constructor(deps: ContentDeps, exchange: Exchange, key: string) {
    this.#deps = deps;
    this.#exchange = exchange;
    this.#key = key;
  }

  async run(): Promise<Reply> {
    const { request, target, peer, note } = this.#exchange;
    const { permissions, authenticator } = this.#deps;
    if (!permissions.isFresh) await permissions.refresh();
    const authentication = await authenticator.authenticate(request.headers, peer);
    note.principal = nameOf(authentication.principal);
    const repo = this.#requireRepository(authentication);
    note.repo = repo.key;
    const plain = parsePlainPath(target.segments.slice(2));
    const format = this.#deps.formats.find(({ packageTypes }) => packageTypes.includes(repo.packageType));
    switch (request.method) {
      case 'GET':
      case 'HEAD':
        return this.#get(repo, format, plain);
      case 'PUT':
        return this.#put(repo, format, plain);
      case 'DELETE':
        return this.#delete(repo, format, plain);
      default:
        throw new AppError('not_supported', `The method ${clip(request.method ?? '')} is not supported for files.`, {
          headers: { Allow: 'GET, HEAD, PUT, DELETE' },
        });
    }
  }

  fail(error: AppError, status: number): Reply {
    // What the client says of the bytes and the bytes themselves are in conflict, in Artifactory's words.
    const shown = error.detail['mismatch'] ? 409 : status;
    return {
      status: shown,
      json: { errors: [{ status: shown, message: error.message }] },
      headers: {
        ...(error.detail['headers'] as Record<string, string> | undefined),
        ...(shown === 401 && { 'WWW-Authenticate': 'Basic realm="Artifactory Realm"' }),
      },
    };
  }

  #requireRepository({ principal, authenticated }: Authentication): Repository {
    const repo = this.#deps.repositories.get(this.#key, principal);
    if (repo) return repo;
    if (!authenticated) throw new AppError('unauthenticated', 'Authentication is required.');
    const method = this.#exchange.request.method ?? 'GET';
    const unserved = refusalOfUnserved(this.#deps.repositories, this.#key, { principal, method });
    throw unserved ?? new AppError('not_found', `There is no repository "${clip(this.#key)}", or you may not use it.`);
  }

  async #get(repo: Repository, format: Format | undefined, { path }: PlainPath): Promise<Reply> {
    const asset = await repo.get(path);
    if (asset) return fileReply(asset);
    const kind = format?.classify(path);
    if (kind?.kind === 'checksum') {
      const of = await repo.get(kind.of);
      if (of) return { status: 200, text: (await of.checksums())[kind.algorithm] };
    }
    throw new AppError('not_found', `There is no file "${clip(joinPath(repo.key, path), 300)}".`);
  }

  async #put(repo: Repository, format: Format | undefined, { path, properties, folder }: PlainPath): Promise<Reply> {
    if (path === '') throw new AppError('invalid', 'The address names a repository but no file in it.');
    repo.require('deploy', path);
    const kind = format?.classify(path);
    if (PROPERTIES.test(path)) {
      throw new AppError('conflict', `"${clip(path)}" means the properties of a file, so no file can have that name.`);
    }
    if (kind?.kind === 'reserved')
      throw new AppError('invalid', `"${clip(path)}" lies under a name that the server keeps for itself.`);
    if (!format?.plainPaths) {
      throw new AppError(
        'invalid',
        `Files cannot be put into the ${repo.packageType} repository "${repo.key}" by path. Use a ${repo.packageType} client.`,
      );
    }
    if (folder) return this.#putFolder(repo, path);
    if (kind?.kind === 'checksum') return this.#putChecksum(repo, kind.of, kind.algorithm);
    const { request } = this.#exchange;
    const mayAnnotate = repo.allows('annotate', path);
    const deposit = { mediaType: mediaTypeOf(path), properties: mayAnnotate ? properties : {} };
    if (request.headers['x-checksum-deploy'] === 'true') {
      const known = await this.#findClaimed(repo);
      await repo.change(path, (tree) => tree.put(new Map([[path, { ...deposit, content: known }]])));
      return this.#deployed(repo, path);
    }
    const landed = await repo.store(path, this.#exchange.body(), {
      expected: claimedChecksums(request.headers),
      allChecksums: true,
      signal: this.#exchange.signal,
    });
    try {
      await repo.change(path, (tree) => tree.put(new Map([[path, { ...deposit, content: landed }]])));
    } finally {
      await landed.discard();
    }
    return this.#deployed(repo, path);
  }

  /**
   * The file of this repository that has the bytes a client has not sent. Whatever is wrong, the answer is the same:
   * the client sends the bytes then, and learns nothing of files it may not read.
   */
  async #findClaimed(repo: Repository): Promise<Asset> {
    const failed = new AppError('not_found', 'Checksum deploy failed. Send the file itself.');
    try {
      const { sha256: hex } = claimedChecksums(this.#exchange.request.headers);
      const found = hex === undefined ? undefined : await repo.find(undefined, { algorithm: 'sha256', hex });
      if (found) return found;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
    }
    throw failed;
  }

  async #deployed(repo: Repository, path: RepoPath): Promise<Reply> {
    const asset = await repo.get(path);
    return {
      status: 201,
      json: await deployed(this.#exchange.origin, repo, path, asset),
      headers: { Location: this.#uri(repo, path) },
    };
  }

  async #putFolder(repo: Repository, path: RepoPath): Promise<Reply> {
    await repo.change(path, (tree) => tree.makeFolder(path));
    return { status: 201, json: { repo: repo.key, path: `/${path}`, uri: this.#uri(repo, path) } };
  }

  /** Clients that deploy checksum files mean to have them verified: they are never stored. */
  async #putChecksum(repo: Repository, of: RepoPath, algorithm: 'sha256' | 'sha1' | 'md5'): Promise<Reply> {
    const asset = await repo.get(of);
    if (!asset)
      throw new AppError(
        'not_found',
        `There is no file "${clip(joinPath(repo.key, of), 300)}" that this checksum could be of.`,
      );
    const text = (await readAll(this.#exchange.body(), { limit: 1024, what: 'checksum file' }))
      .toString('utf8')
      .trim()
      .split(/\s/, 1)[0];
    const actual = (await asset.checksums())[algorithm];
    if (text?.toLowerCase() !== actual) {
      throw new AppError(
        'conflict',
        `The ${algorithm} checksum of "${clip(of, 300)}" is ${actual}, not "${clip(text ?? '')}".`,
      );
    }
    return {
      status: 201,
      json: { repo: repo.key, path: `/${of}.${algorithm}`, uri: this.#uri(repo, joinPath(`${of}.${algorithm}`)) },
    };
  }

  async #delete(repo: Repository, format: Format | undefined, { path }: PlainPath): Promise<Reply> {
    if (path === '') throw new AppError('forbidden', 'A whole repository cannot be deleted by its content address.');
    repo.require('delete', path);
    if (!format?.plainPaths && !(await repo.isFolder(path))) {
      throw new AppError(
        'conflict',
        `"${clip(path, 300)}" is part of an image. Delete its folder, or the image with a ${repo.packageType} client.`,
      );
    }
    const removed = await repo.change(path, (tree) => tree.delete(path));
    if (!removed) throw new AppError('not_found', `There is no file "${clip(joinPath(repo.key, path), 300)}".`);
    return { status: 204 };
  }

  #uri(repo: Repository, path: RepoPath): string {
    return `${this.#exchange.origin}/${PREFIX}/${encodePath(joinPath(repo.key, path))}`;
  }
}

async function fileReply(asset: Asset): Promise<Reply> {
  const { sha1, sha256, md5 } = await asset.checksums();
  return {
    asset,
    etag: sha1,
    ranges: true,
    lastModified: true,
    disposition: 'attachment',
    redirectable: true,
    headers: { 'X-Checksum-Sha1': sha1, 'X-Checksum-Sha256': sha256, 'X-Checksum-Md5': md5 },
  };
}

/** Artifactory's answer to a deploy. */
async function deployed(origin: string, repo: Repository, path: RepoPath, asset: Asset | undefined) {
  const uri = `${origin}/${PREFIX}/${encodePath(joinPath(repo.key, path))}`;
  const base = { repo: repo.key, path: `/${path}`, downloadUri: uri, uri };
  // Who may deploy but not read learns that it worked, and no more.
  if (!asset) return base;
  const { sha1, sha256, md5 } = await asset.checksums();
  return {
    repo: repo.key,
    path: `/${path}`,
    created: asset.createdAt.toISOString(),
    createdBy: asset.createdBy,
    downloadUri: uri,
    mimeType: asset.mediaType,
    size: String(asset.size),
    checksums: { sha1, md5, sha256 },
    originalChecksums: { sha256 },
    uri,
  };
}

export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
