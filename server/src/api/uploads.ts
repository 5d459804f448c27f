/** Uploads in parts: begun and completed here, each part put to an address that the server signed. */
import type { UploadTokens } from '../auth/upload-tokens.ts';
import { MAX_PARTS, type MultipartUploads } from '../blobs/multipart.ts';
import { AppError } from '../core/errors.ts';
import { clip, parseRepoPath, type RepoPath } from '../core/ids.ts';
import { nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { Tx } from '../db/database.ts';
import type { MultipartState } from '../db/multipart-uploads.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { type ApiRequest, type Route, route } from './route.ts';

export interface UploadRouteDeps {
  readonly repositories: RepositoryDirectory;
  readonly multiparts: MultipartUploads;
  readonly uploadTokens: UploadTokens;
  isDraining(): boolean;
  /** Has a job put the parts of an upload together. */
  enqueueAssembly(tx: Tx, id: string): Promise<void>;
}

const UPLOADS = 'artifactory/api/v1/uploads';
const MIB = 1024 * 1024;
const MAX_PART_MIB = 5 * 1024;
const DEFAULT_PART_MIB = 20;
/** An address is asked for right before it is used. */
const ADDRESS_MS = 60 * 60 * 1000;

const STATES: Readonly<Record<MultipartState, string>> = {
  parts: 'PARTS',
  queued: 'QUEUED',
  processing: 'PROCESSING',
  finished: 'FINISHED',
  interrupted: 'RETRYABLE_ERROR',
  failed: 'NON_RETRYABLE_ERROR',
  aborted: 'ABORTED',
};

export function uploadRoutes(deps: UploadRouteDeps): readonly Route[] {
  const { multiparts, uploadTokens } = deps;
  const ofUpload = (name: string, answer: (id: string, request: ApiRequest) => Promise<Reply>) =>
    route({
      methods: ['POST'],
      pattern: `${UPLOADS}/${name}`,
      // The upload's own token says who may go on with it.
      right: 'none',
      handle: (request) => answer(requireUpload(uploadTokens, request), request),
    });
  return [
    route({
      methods: ['GET'],
      pattern: `${UPLOADS}/config`,
      right: 'user',
      handle: async () => ({ status: 200, json: { supported: true } }),
    }),
    route({
      methods: ['POST'],
      pattern: `${UPLOADS}/create`,
      right: 'user',
      handle: (request) => create(deps, request),
    }),
    ofUpload('urlPart', async (id, { query, root }) => {
      await multiparts.require(id);
      const number = parseCount('partNumber', query.get('partNumber'), MAX_PARTS);
      const expiresAt = Date.now() + ADDRESS_MS;
      const signature = uploadTokens.signPart(id, number, expiresAt);
      const address = `${root}/api/v1/uploads/part/${id}/${number}?expires=${expiresAt}&signature=${signature}`;
      return { status: 200, json: { url: address } };
    }),
    route({
      methods: ['PUT'],
      pattern: `${UPLOADS}/part/{id}/{number}`,
      // The signature of the address says who gave it out.
      right: 'none',
      handle: (request) => putPart(deps, request),
    }),
    ofUpload('complete', async (id, { query }) => {
      const sha1 = query.get('sha1')?.toLowerCase() ?? '';
      if (!/^[0-9a-f]{40}$/.test(sha1)) throw new AppError('invalid', 'The query needs "sha1", 40 hex digits.');
      if (deps.isDraining()) throw new AppError('unavailable', 'The server is stopping. Try again.');
      await multiparts.complete(id, sha1, (tx) => deps.enqueueAssembly(tx, id));
      return { status: 202 };
    }),
    ofUpload('status', async (id) => {
      const { state, error, progress } = await multiparts.require(id);
      return {
        status: 200,
        json: {
          status: STATES[state],
          error: error ?? '',
          progress,
          checksumToken: state === 'finished' ? uploadTokens.issueResult(id) : '',
        },
      };
    }),
    ofUpload('abort', async (id) => {
      await multiparts.abort(id);
      return { status: 204 };
    }),
  ];
}

async function create(deps: UploadRouteDeps, { query, caller }: ApiRequest): Promise<Reply> {
  const key = query.get('repoKey') ?? '';
  const path = parseTarget(query.get('repoPath') ?? '');
  const mib = query.has('partSizeMB')
    ? parseCount('partSizeMB', query.get('partSizeMB'), MAX_PART_MIB)
    : DEFAULT_PART_MIB;
  const repo = deps.repositories.get(key, caller.principal);
  if (!repo) throw new AppError('not_found', `There is no repository "${clip(key)}", or you may not use it.`);
  repo.require('deploy', path);
  const id = await deps.multiparts.create({
    repo: repo.key,
    path,
    principal: nameOf(caller.principal),
    partBytes: mib * MIB,
  });
  return { status: 200, json: { token: deps.uploadTokens.issue(id) } };
}

/** Properties that follow the path are given again when the file is deployed. */
function parseTarget(text: string): RepoPath {
  const path = parseRepoPath((text.split(';', 1)[0] ?? '').replace(/^\//, ''));
  if (path === '') throw new AppError('invalid', 'The query needs "repoPath", where the file is to be deployed.');
  return path;
}

async function putPart(
  { multiparts, uploadTokens }: UploadRouteDeps,
  { params, query, exchange }: ApiRequest,
): Promise<Reply> {
  const id = params['id'] ?? '';
  const number = Number(params['number']);
  const part = { id, number, expiresAt: Number(query.get('expires')) };
  if (!Number.isSafeInteger(number) || !uploadTokens.isPart(part, query.get('signature') ?? '')) {
    throw new AppError('not_found', 'This address of a part is not known, or has expired. Ask for another one.');
  }
  await multiparts.putPart(id, number, exchange.body(), exchange.signal);
  return { status: 200 };
}

function requireUpload(tokens: UploadTokens, { exchange }: ApiRequest): string {
  const bearer = /^bearer +(\S+)$/i.exec(exchange.request.headers.authorization ?? '')?.[1];
  const id = bearer === undefined ? undefined : tokens.read(bearer);
  if (id === undefined) throw new AppError('unauthenticated', 'The token of the upload is needed.');
  return id;
}

function parseCount(name: string, text: string | null, max: number): number {
  const count = Number(text ?? Number.NaN);
  if (Number.isSafeInteger(count) && count >= 1 && count <= max) return count;
  throw new AppError('invalid', `The query needs "${name}", a whole number from 1 to ${max}.`);
}
