/** The requests the S3 driver makes, each with a time budget and with failures a client may be told of. */
import { Readable } from 'node:stream';
import type * as Sdk from '@aws-sdk/client-s3';
import { AppError } from '../../core/errors.ts';
import type { ByteRange } from '../../core/repository.ts';
import type { StoredObject } from '../driver.ts';

export interface S3Connection {
  readonly bucket: string;
  /** Put before every key, for a bucket that others use too; ends with "/" if not empty. */
  readonly prefix?: string | undefined;
  readonly region: string;
  /** Only for stores other than AWS. */
  readonly endpoint?: string | undefined;
  /** The address in signed URLs, where clients reach the store by another name than the server does. */
  readonly publicEndpoint?: string | undefined;
  /** Whether the bucket is named in the path instead of the host name. */
  readonly pathStyle?: boolean | undefined;
  /** Without them, AWS's usual places are asked: environment, files, roles of the machine. */
  readonly credentials?:
    | { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string }
    | undefined;
  /** How long one request may take, all its attempts together, not counting the transfer of its body. */
  readonly budgetMs?: number | undefined;
}

/** A multipart upload that is under way; `key` is where its object will appear. */
export interface MultipartUpload {
  readonly key: string;
  readonly uploadId: string;
}

export interface UploadedPart {
  readonly number: number;
  readonly size: number;
  readonly etag: string;
}

const ATTEMPTS = 5;
const BUDGET_MS = 30_000;
/** Assembling the parts of a very large object takes the store longer than any other request. */
const COMPLETE_BUDGET_FACTOR = 4;
/** A transfer slower than this is given up. */
const MIN_BYTES_PER_MS = 64;
const MAX_SOCKETS = 256;
const FULL = new Set(['InsufficientStorage', 'QuotaExceeded', 'EntityTooLarge', 'XMinioStorageFull']);
const NETWORK = /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_|EHOST|ENET|ERR_SSL|ERR_TLS|CERT_|UND_ERR)/;

export class S3Bucket {
  readonly #connection: S3Connection;
  readonly #prefix: string;
  readonly #budgetMs: number;
  #sdk: typeof Sdk | undefined;
  #client: Sdk.S3Client | undefined;
  #signer: Sdk.S3Client | undefined;

  constructor(connection: S3Connection) {
    this.#connection = connection;
    this.#prefix = connection.prefix ?? '';
    this.#budgetMs = connection.budgetMs ?? BUDGET_MS;
  }

  /** Loads the SDK, which only users of S3 pay for, and proves that the bucket can be written. */
  async start(): Promise<void> {
    this.#sdk = await import('@aws-sdk/client-s3');
    const { endpoint, publicEndpoint } = this.#connection;
    this.#client = this.#connect(endpoint);
    this.#signer = publicEndpoint === undefined ? this.#client : this.#connect(publicEndpoint);
    await this.put('probe', Buffer.from('Entrepot wrote this to see that it can.\n'));
    await this.delete('probe');
  }

  stop(): void {
    this.#client?.destroy();
    if (this.#signer !== this.#client) this.#signer?.destroy();
    this.#client = undefined;
    this.#signer = undefined;
  }

  #connect(endpoint: string | undefined): Sdk.S3Client {
    const { region, pathStyle, credentials } = this.#connection;
    return new this.#loaded.S3Client({
      region,
      forcePathStyle: pathStyle ?? false,
      maxAttempts: ATTEMPTS,
      // The SDK's own checksums are trailers that other stores than AWS refuse; bodies are signed by their SHA-256.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: 5000,
        throwOnRequestTimeout: true,
        httpAgent: { maxSockets: MAX_SOCKETS, keepAlive: true },
        httpsAgent: { maxSockets: MAX_SOCKETS, keepAlive: true },
      },
      ...(endpoint !== undefined && { endpoint }),
      ...(credentials && { credentials }),
    });
  }

  get #loaded(): typeof Sdk {
    if (!this.#sdk) throw new Error('the S3 driver was used before it was started');
    return this.#sdk;
  }

  #at(key: string) {
    return { Bucket: this.#connection.bucket, Key: this.#prefix + key };
  }

  async put(key: string, body: Buffer): Promise<void> {
    const command = new this.#loaded.PutObjectCommand({ ...this.#at(key), Body: body, ContentLength: body.length });
    await this.#call((client, options) => client.send(command, options), body.length);
  }

  /** The object's bytes; undefined if there is no such object. */
  async get(key: string, range?: ByteRange): Promise<Readable | undefined> {
    const command = new this.#loaded.GetObjectCommand({
      ...this.#at(key),
      ...(range && { Range: `bytes=${range.start}-${range.end}` }),
    });
    const reply = await this.#find((client, options) => client.send(command, options));
    if (!reply) return undefined;
    const body = reply.Body as Readable;
    const start = /^bytes (\d+)-/.exec(reply.ContentRange ?? '')?.[1];
    if (reply.ContentLength === undefined || (range && Number(start) !== range.start)) {
      body.destroy();
      throw new AppError('unavailable', 'The object store of the server did not answer with the bytes asked for.');
    }
    return new ObjectStream(body, reply.ContentLength, this.#budgetMs);
  }

  /** Size in bytes; undefined if there is no such object. */
  async size(key: string): Promise<number | undefined> {
    const command = new this.#loaded.HeadObjectCommand(this.#at(key));
    const reply = await this.#find((client, options) => client.send(command, options));
    if (reply) return reply.ContentLength ?? 0;
    // The answer to HEAD does not tell a lost object from a lost bucket.
    const bucket = new this.#loaded.HeadBucketCommand({ Bucket: this.#connection.bucket });
    await this.#call((client, options) => client.send(bucket, options));
    return undefined;
  }

  async delete(key: string): Promise<void> {
    const command = new this.#loaded.DeleteObjectCommand(this.#at(key));
    await this.#find((client, options) => client.send(command, options));
  }

  /** The objects below a prefix, in the order of their keys. */
  async *list(prefix: string): AsyncGenerator<StoredObject> {
    for (let after: string | undefined; ; ) {
      const command = new this.#loaded.ListObjectsV2Command({
        Bucket: this.#connection.bucket,
        Prefix: this.#prefix + prefix,
        ...(after !== undefined && { ContinuationToken: after }),
      });
      const page = await this.#call((client, options) => client.send(command, options));
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        if (Key === undefined || LastModified === undefined) continue;
        yield { key: Key.slice(this.#prefix.length), size: Size ?? 0, modifiedAt: LastModified };
      }
      after = page.NextContinuationToken;
      if (!page.IsTruncated || after === undefined) return;
    }
  }

  async createUpload(key: string): Promise<MultipartUpload> {
    const command = new this.#loaded.CreateMultipartUploadCommand(this.#at(key));
    const { UploadId } = await this.#call((client, options) => client.send(command, options));
    if (UploadId === undefined) throw strange();
    return { key, uploadId: UploadId };
  }

  async uploadPart(upload: MultipartUpload, number: number, body: Buffer): Promise<UploadedPart> {
    const command = new this.#loaded.UploadPartCommand({
      ...this.#at(upload.key),
      UploadId: upload.uploadId,
      PartNumber: number,
      Body: body,
      ContentLength: body.length,
    });
    const { ETag } = await this.#call((client, options) => client.send(command, options), body.length);
    return { number, size: body.length, etag: unquote(ETag) };
  }

  /** Makes a range of an object a part of an upload. */
  async copyPart(upload: MultipartUpload, number: number, from: string, range: ByteRange): Promise<UploadedPart> {
    const { bucket } = this.#connection;
    const command = new this.#loaded.UploadPartCopyCommand({
      ...this.#at(upload.key),
      UploadId: upload.uploadId,
      PartNumber: number,
      CopySource: encodeURI(`${bucket}/${this.#prefix}${from}`),
      CopySourceRange: `bytes=${range.start}-${range.end}`,
    });
    const size = range.end - range.start + 1;
    const reply = await this.#call((client, options) => client.send(command, options), size);
    return { number, size, etag: unquote(reply.CopyPartResult?.ETag) };
  }

  /** The parts the store holds, by number, and when the last came; undefined if there is no such upload. */
  async listParts(
    upload: MultipartUpload,
  ): Promise<{ parts: Map<number, UploadedPart>; modifiedAt: Date } | undefined> {
    const parts = new Map<number, UploadedPart>();
    let modifiedAt = new Date(0);
    for (let after: string | undefined; ; ) {
      const command = new this.#loaded.ListPartsCommand({
        ...this.#at(upload.key),
        UploadId: upload.uploadId,
        ...(after !== undefined && { PartNumberMarker: after }),
      });
      const page = await this.#find((client, options) => client.send(command, options));
      if (!page) return undefined;
      for (const { PartNumber, ETag, Size, LastModified } of page.Parts ?? []) {
        if (PartNumber !== undefined)
          parts.set(PartNumber, { number: PartNumber, size: Size ?? 0, etag: unquote(ETag) });
        if (LastModified && LastModified > modifiedAt) modifiedAt = LastModified;
      }
      after = page.NextPartNumberMarker;
      if (!page.IsTruncated || after === undefined) return { parts, modifiedAt };
    }
  }

  /** Makes the parts, in the order of their numbers, the object. What became of a request without an answer is found out. */
  async complete(upload: MultipartUpload, parts: readonly UploadedPart[]): Promise<void> {
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    const command = new this.#loaded.CompleteMultipartUploadCommand({
      ...this.#at(upload.key),
      UploadId: upload.uploadId,
      MultipartUpload: { Parts: parts.map(({ number, etag }) => ({ PartNumber: number, ETag: `"${etag}"` })) },
    });
    let failure: unknown;
    try {
      await this.#call((client, options) => client.send(command, options), 0, COMPLETE_BUDGET_FACTOR);
    } catch (error) {
      // A lost answer, or a repetition that found the upload gone: the object itself tells.
      failure = error;
    }
    const found = await this.size(upload.key);
    if (found === size) return;
    if (failure !== undefined) throw failure;
    throw strange();
  }

  /** Drops the upload and its parts; one that is gone already is no error. */
  async abortUpload(upload: MultipartUpload): Promise<void> {
    const command = new this.#loaded.AbortMultipartUploadCommand({
      ...this.#at(upload.key),
      UploadId: upload.uploadId,
    });
    await this.#find((client, options) => client.send(command, options));
  }

  async *listUploads(prefix: string): AsyncGenerator<MultipartUpload & { readonly startedAt: Date }> {
    for (let after: { KeyMarker: string; UploadIdMarker?: string } | undefined; ; ) {
      const command = new this.#loaded.ListMultipartUploadsCommand({
        Bucket: this.#connection.bucket,
        Prefix: this.#prefix + prefix,
        ...after,
      });
      const page = await this.#call((client, options) => client.send(command, options));
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        if (Key === undefined || UploadId === undefined) continue;
        yield { key: Key.slice(this.#prefix.length), uploadId: UploadId, startedAt: Initiated ?? new Date(0) };
      }
      if (!page.IsTruncated || page.NextKeyMarker === undefined) return;
      after = {
        KeyMarker: page.NextKeyMarker,
        ...(page.NextUploadIdMarker !== undefined && { UploadIdMarker: page.NextUploadIdMarker }),
      };
    }
  }

  async sign(key: string, options: { readonly expiresInMs: number; readonly disposition: string }): Promise<URL> {
    if (!this.#signer) throw new Error('the S3 driver was used before it was started');
    const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner');
    const command = new this.#loaded.GetObjectCommand({
      ...this.#at(key),
      ResponseContentDisposition: options.disposition,
    });
    const expiresIn = Math.max(1, Math.floor(options.expiresInMs / 1000));
    try {
      return new URL(await getSignedUrl(this.#signer, command, { expiresIn }));
    } catch (error) {
      throw troubleOf(error);
    }
  }

  async #call<T>(
    send: (client: Sdk.S3Client, options: { abortSignal: AbortSignal; requestTimeout: number }) => Promise<T>,
    transferBytes = 0,
    factor = 1,
  ): Promise<T> {
    try {
      return await this.#send(send, transferBytes, factor);
    } catch (error) {
      throw troubleOf(error);
    }
  }

  /** As `#call`, but undefined when the object or upload does not exist. */
  async #find<T>(
    send: (client: Sdk.S3Client, options: { abortSignal: AbortSignal; requestTimeout: number }) => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await this.#send(send, 0, 1);
    } catch (error) {
      if (isAbsence(error)) return undefined;
      throw troubleOf(error);
    }
  }

  async #send<T>(
    send: (client: Sdk.S3Client, options: { abortSignal: AbortSignal; requestTimeout: number }) => Promise<T>,
    transferBytes: number,
    factor: number,
  ): Promise<T> {
    if (!this.#client) throw new Error('the S3 driver is not running');
    const transferMs = transferBytes / MIN_BYTES_PER_MS;
    const controller = new AbortController();
    // Not AbortSignal.timeout: it would also end the body of an answer that came in time.
    const timer = setTimeout(() => controller.abort(), this.#budgetMs * factor + transferMs);
    try {
      const requestTimeout = (this.#budgetMs * factor) / 3 + transferMs;
      return await send(this.#client, { abortSignal: controller.signal, requestTimeout });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Gives the announced number of bytes or fails: a body cut short never looks complete. */
class ObjectStream extends Readable {
  readonly #body: Readable;
  readonly #stallMs: number;
  #left: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(body: Readable, length: number, stallMs: number) {
    super({ highWaterMark: 256 * 1024 });
    this.#body = body;
    this.#left = length;
    this.#stallMs = stallMs;
    body.on('data', (chunk: Buffer) => this.#take(chunk));
    body.on('end', () => this.#end());
    body.on('error', (error) => this.destroy(cutShort(error)));
    body.on('close', () => {
      if (this.#left > 0) this.destroy(cutShort(undefined));
    });
    body.pause();
  }

  override _read(): void {
    // The clock runs only while bytes are wanted: a slow reader is not the store's fault.
    this.#timer ??= setTimeout(() => this.destroy(cutShort(undefined)), this.#stallMs);
    this.#body.resume();
  }

  #take(chunk: Buffer): void {
    this.#left -= chunk.length;
    this.#timer?.refresh();
    if (this.push(chunk)) return;
    this.#body.pause();
    this.#stopClock();
  }

  #end(): void {
    this.#stopClock();
    if (this.#left === 0) this.push(null);
    else this.destroy(cutShort(undefined));
  }

  #stopClock(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#stopClock();
    this.#body.destroy();
    callback(error);
  }
}

function cutShort(cause: unknown): AppError {
  return new AppError(
    'unavailable',
    'The object store of the server stopped in the middle of the file. Try again.',
    {},
    { cause },
  );
}

function strange(): AppError {
  return new AppError('unavailable', 'The object store of the server did not do what it was asked. Try again later.');
}

function unquote(etag: string | undefined): string {
  if (etag === undefined) throw strange();
  return etag.replace(/^"|"$/g, '');
}

function statusOf(error: unknown): number {
  if (!(error instanceof Error) || !('$metadata' in error)) return 0;
  return (error.$metadata as { httpStatusCode?: number }).httpStatusCode ?? 0;
}

function isAbsence(error: unknown): boolean {
  return error instanceof Error && statusOf(error) === 404 && error.name !== 'NoSuchBucket';
}

/** What a client may be told of a failed request; errors that are not the store's are bugs and stay what they are. */
function troubleOf(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof AppError) return error;
  const status = statusOf(error);
  if (status === 507 || FULL.has(error.name)) {
    return new AppError(
      'quota_exceeded',
      'The object store of the server is full. Free some space and try again.',
      {},
      { cause: error },
    );
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const isOfStore =
    '$metadata' in error ||
    NETWORK.test(code) ||
    /^(TimeoutError|AbortError|CredentialsProviderError|TokenProviderError|NetworkingError)$/.test(error.name) ||
    /socket hang up|aborted/.test(error.message);
  if (!isOfStore) return error;
  return new AppError(
    'unavailable',
    'The object store of the server cannot be used at the moment. Try again later.',
    {},
    { cause: error },
  );
}
