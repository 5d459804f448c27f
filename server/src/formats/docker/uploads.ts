/** Pushing blobs: sessions, chunks, single requests and mounts (distribution-spec, "Pushing blobs"). */
import { AppError, isAppError } from '../../core/errors.ts';
import { clip, type Digest, joinPath, type RepoKey, renderDigest } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Asset, Landed, Repository, Upload } from '../../core/repository.ts';
import { ociError } from './errors.ts';
import { addressOf } from './links.ts';
import { parseName, requireDigest, UPLOADS, waitingBlob } from './names.ts';

/** POST: starts a session, mounts a blob, or takes a whole blob at once. */
export async function startUpload(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  const { repo } = context;
  const name = parseName(request.params['name'] ?? '', true);
  const mount = request.query.get('mount');
  if (mount !== null) {
    const mounted = await mountBlob(context, name, requireDigest(mount), request.query.get('from'));
    if (mounted) return mounted;
  }
  const whole = singleDigest(request.query);
  if (whole !== undefined && mount === null) {
    const landed = await storeWhole(repo, name, requireDigest(whole), request);
    return linkBlob(context, name, requireDigest(whole), landed);
  }
  const upload = await repo.uploads.start(name, algorithmHint(request.query));
  return { status: 202, headers: progress(context, name, upload) };
}

async function storeWhole(repo: Repository, name: string, digest: Digest, request: ProtocolRequest): Promise<Landed> {
  return repo.store(joinPath(name, UPLOADS), request.body, {
    expected: { [digest.algorithm]: digest.hex },
    signal: request.signal,
  });
}

/** A hint of the final digest's algorithm, which spares a second reading of the bytes. */
function algorithmHint(query: URLSearchParams): { algorithm?: Digest['algorithm'] } {
  const algorithm = query.get('digest-algorithm');
  if (algorithm === null) return {};
  if (algorithm !== 'sha256' && algorithm !== 'sha512') {
    throw ociError(
      'DIGEST_INVALID',
      `The digest algorithm "${clip(algorithm)}" is not supported: use sha256 or sha512.`,
    );
  }
  return { algorithm };
}

export async function patchUpload(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  const { name, upload } = await openUpload(request, context);
  checkRange(request, context, name, upload);
  await writing(context, name, upload, () => upload.append(request.body, request.signal));
  return { status: 202, headers: progress(context, name, upload) };
}

export async function putUpload(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  const { name, upload, query } = await openUpload(request, context, { finished: true });
  const text = singleDigest(query);
  if (text === undefined) {
    throw ociError(
      'DIGEST_INVALID',
      'The request names no digest: finish an upload with "?digest=<digest of the blob>".',
    );
  }
  const digest = requireDigest(text);
  if (upload.finished) return repeatedFinish(context, name, digest, upload.finished);
  checkRange(request, context, name, upload);
  const last = hasBody(request) ? { body: request.body, signal: request.signal } : undefined;
  const landed = await writing(context, name, upload, () => upload.finish(digest, last));
  return linkBlob(context, name, digest, landed);
}

/** The first answer was lost on its way: it is given again. */
function repeatedFinish(context: ProtocolContext, name: string, digest: Digest, finished: Digest): Reply {
  if (renderDigest(digest) !== renderDigest(finished)) throw unknownUpload();
  return created(context, name, digest);
}

export async function getUpload(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  const { name, upload } = await openUpload(request, context);
  return { status: 204, headers: progress(context, name, upload) };
}

export async function deleteUpload(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  const { upload } = await openUpload(request, context);
  await upload.abort();
  return { status: 204 };
}

/** Some scripts glue `&digest=…` to a Location that has no query: what follows the first `&` is taken as one. */
async function openUpload(
  request: ProtocolRequest,
  { repo }: ProtocolContext,
  options: { readonly finished?: boolean } = {},
): Promise<{ name: string; upload: Upload; query: URLSearchParams }> {
  const name = parseName(request.params['name'] ?? '', true);
  const [id = '', ...glued] = (request.params['id'] ?? '').split('&');
  const query = glued.length > 0 ? new URLSearchParams(glued.join('&')) : request.query;
  const upload = await repo.uploads.open(name, id);
  if (upload.finished && !options.finished) throw unknownUpload();
  return { name, upload, query };
}

function unknownUpload(): AppError {
  return ociError(
    'BLOB_UPLOAD_UNKNOWN',
    'This upload is unknown: it was finished, cancelled, or has expired. Start it again.',
  );
}

/** The one digest a request may name. */
function singleDigest(query: URLSearchParams): string | undefined {
  const all = query.getAll('digest');
  if (new Set(all).size > 1) throw ociError('DIGEST_INVALID', 'The request names two different digests.');
  return all[0];
}

function hasBody(request: ProtocolRequest): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
}

/** `Content-Range: <first>-<last>` must go on where the upload stands, or the client is told where that is. */
function checkRange(request: ProtocolRequest, context: ProtocolContext, name: string, upload: Upload): void {
  const header = request.headers['content-range'];
  if (header === undefined) return;
  const match = /^(?:bytes[ =])?(\d{1,16})-(\d{1,16})(?:\/(?:\d+|\*))?$/.exec(header);
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (!match || last < first || first !== upload.received) {
    throw outOfOrder(context, name, upload, `The chunk "${clip(header)}" does not go on at byte ${upload.received}.`);
  }
  const length = request.headers['content-length'];
  if (length !== undefined && Number(length) !== last - first + 1) {
    throw ociError(
      'SIZE_INVALID',
      `The chunk "${clip(header)}" has ${last - first + 1} bytes, but the Content-Length says ${clip(length)}.`,
    );
  }
}

function outOfOrder(context: ProtocolContext, name: string, upload: Upload, message: string): AppError {
  return ociError('RANGE_INVALID', `${message} Ask for the state of the upload and go on from there.`, {
    headers: progress(context, name, upload),
  });
}

/** A second writer is told where the upload stands, as if it had come out of order. */
async function writing<T>(context: ProtocolContext, name: string, upload: Upload, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isAppError(error, 'conflict')) throw outOfOrder(context, name, upload, error.message);
    throw error;
  }
}

/** Where the upload stands. `0-0` also stands for nothing: clients parse no empty range. */
function progress({ links }: ProtocolContext, name: string, upload: Upload): Record<string, string> {
  return {
    Location: addressOf(links, `${name}/blobs/uploads/${upload.id}`),
    Range: `0-${Math.max(upload.received - 1, 0)}`,
    'Docker-Upload-UUID': upload.id,
  };
}

function created({ links }: ProtocolContext, name: string, digest: Digest): Reply {
  return {
    status: 201,
    headers: {
      Location: addressOf(links, `${name}/blobs/${renderDigest(digest)}`),
      'Docker-Content-Digest': renderDigest(digest),
      'Content-Length': '0',
    },
  };
}

/** Makes landed bytes a blob of the image: from now on it can be read, until its grace ends without a manifest. */
async function linkBlob(context: ProtocolContext, name: string, digest: Digest, landed: Landed): Promise<Reply> {
  try {
    await linkContent(context.repo, name, landed);
  } catch (error) {
    await landed.discard();
    throw error;
  }
  return created(context, name, digest);
}

/** The blob may be there already; then its lease begins anew, which needs no right to overwrite. */
async function linkContent(repo: Repository, name: string, content: Landed | Asset): Promise<void> {
  const path = waitingBlob(name, content.sha256);
  await repo.change(name, (tree) =>
    tree.renew(path, { content, mediaType: 'application/octet-stream', package: name }),
  );
}

/** Undefined when the blob cannot be mounted, for whatever reason: then the client uploads it. */
async function mountBlob(
  context: ProtocolContext,
  name: string,
  digest: Digest,
  from: string | null,
): Promise<Reply | undefined> {
  const source = from === null ? await findAnywhere(context, digest) : await findIn(context, from, digest);
  if (!source) return undefined;
  try {
    await linkContent(context.repo, name, source);
  } catch (error) {
    if (isAppError(error, 'conflict')) return undefined;
    throw error;
  }
  return created(context, name, digest);
}

/**
 * `from` is a name as the client writes it: below the same mount, or with the key of a repository before it. Where the
 * caller may read it but the token does not cover it, the challenge names the scope to ask for.
 */
async function findIn(context: ProtocolContext, from: string, digest: Digest): Promise<Asset | undefined> {
  if (from.length > MAX_FROM) return undefined;
  const found = await findFrom(await context.repositoriesOfCaller(), context.repo.key, from, digest);
  if (!found) return undefined;
  const { asset, asked } = found;
  // One look decides both, or a blob that comes between two of them would pass for one out of the token's reach.
  const covering = (await context.repositories()).find(({ key }) => key === asked);
  if (covering?.allows('read', asset.path)) return asset;
  throw new AppError('unauthenticated', 'The token does not cover the repository to mount from.');
}

/** `asked` is the repository by whose name it was found, behind which another may hold it. */
async function findFrom(
  repositories: readonly Repository[],
  ownKey: string,
  from: string,
  digest: Digest,
): Promise<{ readonly asset: Asset; readonly asked: RepoKey } | undefined> {
  const slash = from.indexOf('/');
  const places = [
    { key: from.slice(0, Math.max(slash, 0)), image: from.slice(slash + 1) },
    { key: ownKey, image: from },
  ];
  for (const { key, image } of places) {
    const repository = repositories.find((each) => each.key === key);
    const asset = repository && (await readableBlob(repository, image, digest));
    if (asset) return { asset, asked: repository.key };
  }
  return undefined;
}

async function readableBlob(repository: Repository, image: string, digest: Digest): Promise<Asset | undefined> {
  try {
    return await repository.find(parseName(image, false), digest);
  } catch (error) {
    if (isHidden(error)) return undefined;
    throw error;
  }
}

const MAX_SEARCHED = 20;
const MAX_FROM = 512;

/** Without `from`, wherever the caller itself may read: no client can ask for a token of a place it does not know. */
async function findAnywhere(context: ProtocolContext, digest: Digest): Promise<Asset | undefined> {
  const repositories = await context.repositoriesOfCaller();
  const ownFirst = [...repositories].sort(
    (a, b) => Number(b.key === context.repo.key) - Number(a.key === context.repo.key),
  );
  for (const repository of ownFirst.slice(0, MAX_SEARCHED)) {
    try {
      const found = await repository.find(undefined, digest);
      if (found) return found;
    } catch (error) {
      if (!isHidden(error)) throw error;
    }
  }
  return undefined;
}

/** What may not be read is, for a mount, not there; trouble of the server is trouble. */
function isHidden(error: unknown): boolean {
  return error instanceof AppError && ['unauthenticated', 'forbidden', 'not_found', 'invalid'].includes(error.code);
}
