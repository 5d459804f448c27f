/** The content plane: any file of any repository under its plain path, as the REST API of Artifactory has it. */
import type { Authentication, Authenticator } from '../../auth/authenticator.ts';
import type { UploadTokens } from '../../auth/upload-tokens.ts';
import type { MultipartUploads } from '../../blobs/multipart.ts';
import type { BlobStore } from '../../blobs/store.ts';
import { AppError } from '../../core/errors.ts';
import type { Format } from '../../core/format.ts';
import { clip } from '../../core/ids.ts';
import { nameOf, type Principal } from '../../core/principal.ts';
import type { Reply } from '../../core/protocol.ts';
import type { Repository } from '../../core/repository.ts';
import type { Database } from '../../db/database.ts';
import type { Call, Exchange } from '../../http/exchange.ts';
import { Turns } from '../../lib/turns.ts';
import { Turnstile } from '../../lib/turnstile.ts';
import { type DeletionDeps, deleteItem } from '../../repositories/deletion.ts';
import type { RepositoryDirectory } from '../../repositories/directory.ts';
import type { FolderArchives } from '../../repositories/folder-archive.ts';
import { findHolder } from '../../repositories/holders.ts';
import { type RelocateDeps, relocate } from '../../repositories/relocate.ts';
import { refusalOfDeploy } from '../../repositories/remote/cache.ts';
import { isRelayed } from '../relayed.ts';
import { type ContentRequest, latinJson } from './content-request.ts';
import { remove } from './delete.ts';
import { put } from './deploy.ts';
import { get } from './download.ts';
import { parsePlainPath } from './plain-path.ts';
import { trace } from './trace.ts';
import { transfer } from './transfer.ts';
import { METHODS, makeCollection, options, propfind } from './webdav.ts';

export interface ContentDeps extends DeletionDeps, RelocateDeps {
  readonly database: Database;
  readonly formats: readonly Format[];
  readonly repositories: RepositoryDirectory;
  readonly authenticator: Authenticator;
  /** Brought up to date before a request asks for rights. */
  readonly permissions: { readonly isFresh: boolean; refresh(): Promise<void> };
  readonly blobs: BlobStore;
  readonly multiparts: MultipartUploads;
  readonly uploadTokens: UploadTokens;
  readonly archives: ContentRequest['archives'];
  readonly folderArchives: FolderArchives;
}

const PREFIX = 'artifactory';
const READING = new Set(['GET', 'HEAD', 'PROPFIND']);
const RESERVED = new Set(['api', 'webapp', 'ui']);
/** Before the key of a repository: its folders are shown as pages, or as bare links. */
const STYLES: Readonly<Record<string, ContentRequest['style']>> = { list: 'page', simple: 'simple' };

/** Where in the path the repository's key stands, and how its folders are to be shown. */
interface Addressed {
  readonly key: string;
  readonly depth: number;
  readonly style: ContentRequest['style'];
}

const WRITING = new Set(['PUT', 'DELETE', 'MKCOL']);

/** Looking into an archive is much work for one request: so many do it at once. */
const LOOKING = 4;
const MAX_REASON = 400;
/** Maven 4 shows nothing of an answer but what it says of itself as RFC 9457 has it. */
const READS_PROBLEMS = /^Apache-Maven\/(?![0-3]\.)/;
/** Of what is missing it must not be told so: it takes any problem for a failure, not for an absence. */
const NO_PROBLEMS = new Set([401, 404, 410]);
const PROBLEM = 'application/problem+json';

export class ContentPlane {
  readonly #deps: ContentDeps;
  readonly #looking = new Turnstile(LOOKING);
  readonly #naming = new Turns();
  constructor(deps: ContentDeps) {
    this.#deps = deps;
  }

  begin(exchange: Exchange): Call | undefined {
    const [context, first = '', second = ''] = exchange.target.decoded.map(withoutParameters);
    if (context !== PREFIX || first === '' || RESERVED.has(first)) return undefined;
    exchange.note.area = 'content';
    const style = Object.hasOwn(STYLES, first) && second !== '' ? STYLES[first] : undefined;
    const addressed: Addressed = style ? { key: second, depth: 3, style } : { key: first, depth: 2, style: 'page' };
    return new ContentCall(this.#deps, exchange, addressed, { looking: this.#looking, naming: this.#naming });
  }
}

/** Maven up to 3 and Gradle show nothing of an answer but its reason phrase. */
function reasonOf(message: string): string {
  const text = message.replace(/[^\x20-\x7e]+/g, '?');
  return text.length > MAX_REASON ? `${text.slice(0, MAX_REASON)}...` : text;
}

function withoutParameters(segment: string): string {
  return segment.split(';', 1)[0] ?? '';
}

class ContentCall implements Call {
  readonly #deps: ContentDeps;
  readonly #exchange: Exchange;
  readonly #addressed: Addressed;
  readonly #order: Pick<ContentRequest, 'looking' | 'naming'>;

  constructor(
    deps: ContentDeps,
    exchange: Exchange,
    addressed: Addressed,
    order: Pick<ContentRequest, 'looking' | 'naming'>,
  ) {
    this.#deps = deps;
    this.#exchange = exchange;
    this.#addressed = addressed;
    this.#order = order;
  }

  async run(): Promise<Reply> {
    const { request, peer, note } = this.#exchange;
    const { permissions, authenticator } = this.#deps;
    if (request.method === 'OPTIONS') return options();
    if (!permissions.isFresh) await permissions.refresh();
    const caller = await authenticator.authenticate(request.headers, peer);
    note.principal = nameOf(caller.principal);
    const repo = this.#requireRepository(caller);
    note.repo = repo.key;
    const content = this.#contentRequest(caller, repo);
    switch (request.method) {
      case 'GET':
      case 'HEAD':
        return content.query.has('trace') ? trace(content) : get(content);
      case 'PUT':
        return put(content);
      case 'DELETE':
        return remove(content);
      case 'PROPFIND':
        return propfind(content);
      case 'MKCOL':
        return makeCollection(content);
      case 'COPY':
      case 'MOVE':
        return transfer(content, { copy: request.method === 'COPY' });
      default:
        throw new AppError('not_supported', `The method ${clip(request.method ?? '')} is not supported for files.`, {
          headers: { Allow: METHODS },
        });
    }
  }

  #contentRequest(caller: Authentication, repo: Repository): ContentRequest {
    const { archives, blobs, folderArchives, formats, repositories, multiparts, uploadTokens } = this.#deps;
    const { principal } = caller;
    const { target } = this.#exchange;
    return {
      exchange: this.#exchange,
      caller,
      repo,
      format: formats.find(({ packageTypes }) => packageTypes.includes(repo.packageType)),
      layout: repositories.layoutOf(repo.key),
      plain: parsePlainPath(target.segments.slice(this.#addressed.depth)),
      query: new URLSearchParams(target.rawQuery),
      style: this.#addressed.style,
      archives,
      folderArchives,
      ...this.#order,
      async uploaded(token) {
        const id = uploadTokens.readResult(token);
        return id === undefined ? undefined : multiparts.uploaded(id, nameOf(principal));
      },
      deleteItem: (path) => deleteItem(this.#deps, { principal, repo: repo.key, path }),
      relocate: (relocation) => relocate(this.#deps, { ...relocation, principal }),
      contentOf: (sha256) => blobs.contentOf(sha256),
      repositoryOf: (key) => repositories.get(key, principal),
      findHolder: (wanted) => findHolder(this.#deps, principal, wanted),
    };
  }

  fail(error: AppError, status: number): Reply {
    // What the client says of the bytes and the bytes themselves are in conflict, in Artifactory's words.
    const shown = error.detail['mismatch'] ? 409 : status;
    const headers = {
      ...(error.detail['headers'] as Record<string, string> | undefined),
      ...(shown === 401 && { 'WWW-Authenticate': 'Basic realm="Artifactory Realm"' }),
    };
    if (error.code === 'range') return { status: shown, headers };
    const { message } = error;
    const errors = [{ status: shown, message }];
    const agent = this.#exchange.request.headers['user-agent'] ?? '';
    const reply =
      READS_PROBLEMS.test(agent) && !NO_PROBLEMS.has(shown)
        ? latinJson(shown, PROBLEM, { status: shown, detail: message, errors }, { ...headers, 'Content-Type': PROBLEM })
        : latinJson(shown, 'application/json', { errors }, headers);
    return { ...reply, reason: reasonOf(message) };
  }

  #requireRepository({ principal, authenticated }: Authentication): Repository {
    const { key } = this.#addressed;
    const { repositories } = this.#deps;
    const method = this.#exchange.request.method ?? 'GET';
    // What a remote repository has is changed where it is held, and nothing is put there.
    const cache = READING.has(method) ? undefined : repositories.cacheKeyOf(key);
    const relayed = isRelayed(this.#exchange.request);
    const bound = repositories.get(cache ?? key, principal, undefined, { relayed });
    if (bound && cache && (method === 'PUT' || method === 'MKCOL')) throw refusalOfDeploy(clip(key));
    if (bound) return this.#asMeant(bound, principal);
    if (!authenticated) throw new AppError('unauthenticated', 'Authentication is required.');
    throw new AppError(
      'not_found',
      `Failed to find the repository '${clip(key)}' specified in the request: there is none, or you may not use it.`,
    );
  }

  /** What is put through a virtual repository is told of as what it is in the one that takes it. */
  #asMeant(repo: Repository, principal: Principal): Repository {
    const method = this.#exchange.request.method ?? '';
    if (repo.rclass !== 'virtual' || !WRITING.has(method)) return repo;
    if (method === 'DELETE' && repo.deploysTo === undefined) {
      throw new AppError('not_found', `Nothing can be deleted through "${repo.key}": it takes nothing itself.`);
    }
    return this.#deps.repositories.target(repo, principal);
  }
}
