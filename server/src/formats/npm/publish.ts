/** Publishing a version: the tarball is stored while its document is read, and named once all of it is verified. */
import { PassThrough, Readable } from 'node:stream';
import { AppError } from '../../core/errors.ts';
import { clip, joinPath, type RepoPath } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Deposit, Landed, Repository, Tree } from '../../core/repository.ts';
import { editPackument } from './edit.ts';
import { alreadyPublished, removedBefore } from './errors.ts';
import { releaseProperties } from './ingest.ts';
import { requireSameManifest } from './manifest-check.ts';
import {
  attestationsPath,
  parseNewName,
  parseTag,
  parseVersion,
  removalPath,
  tarballPath,
  withoutBuild,
} from './names.ts';
import { type PublishBody, readPublishBody, readPublishDocument, type TarballSink } from './publish-body.ts';
import { type ReleaseRow, readRow, recordOf, releaseRow } from './release.ts';
import { releaseTag, rowsOf } from './tags.ts';
import { NotAPackage, readTarball, type Tarball } from './tarball.ts';

const MAX_TARBALL = 512 * 1024 * 1024;
const MAX_BODY = Math.ceil((MAX_TARBALL * 4) / 3) + 16 * 1024 * 1024;
const MAX_DATA = 8 * 1024 * 1024;

interface Publication {
  readonly name: string;
  readonly version: string;
  readonly manifest: Readonly<Record<string, unknown>>;
  readonly dist: Readonly<Record<string, unknown>>;
  readonly tags: readonly string[];
  /** The attestations that came along, as text, and their kind. */
  readonly attestations: { readonly text: string; readonly kind: string } | undefined;
}

/** Answers a PUT of a package's document: a new version, or words about versions that are there. */
export async function putPackage(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  const { repo } = context;
  const name = parseNewName(request.params['name'] ?? '');
  const folder = joinPath(name, '-');
  repo.require('deploy', joinPath(folder, `${name}-0.0.0.tgz`));
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY) {
    throw new AppError('too_large', `A package larger than ${MAX_TARBALL} bytes cannot be published here.`);
  }
  const store = new TarballStore(repo, folder, request.signal);
  try {
    const body = await readPublishBody(request.body, (key) => store.open(key), request.signal);
    const landed = await store.landed();
    if (!landed) return await editPackument(name, body.rest, context, { tags: false });
    return await publish(context, { name, body, landed });
  } finally {
    await store.discard();
  }
}

async function publish(
  { repo }: ProtocolContext,
  { name, body, landed }: { readonly name: string; readonly body: PublishBody; readonly landed: Landed },
): Promise<Reply> {
  const publication = readPublication(name, body);
  const { version, manifest, attestations } = publication;
  const path = tarballPath(name, version);
  repo.require('deploy', path);
  const tarball = await verified(landed, publication);
  await refuseSibling(repo, name, version);
  const attested = attestations && (await storeAttestations(repo, name, version, attestations.text));
  try {
    await repo.change(name, async (tree) => {
      await refuseRepeated(tree, repo, { name, version, landed });
      let at = Date.now();
      for (const tag of publication.tags) at = Math.max(at, await releaseTag(tree, name, tag));
      const row = releaseRow(manifest, tarball, { at, tags: publication.tags, attested: attestations?.kind });
      const files = new Map<RepoPath, Deposit>([[path, deposit(landed, row, { name, manifest })]]);
      if (attested)
        files.set(attestationsPath(name, version), { content: attested, mediaType: 'application/json', package: name });
      await tree.put(files);
    });
  } finally {
    await attested?.discard();
  }
  return { status: 201, json: { ok: true, success: true, id: name, rev: version } };
}

function deposit(
  content: Landed,
  row: ReleaseRow,
  { name, manifest }: { readonly name: string; readonly manifest: Readonly<Record<string, unknown>> },
): Deposit {
  return {
    content,
    mediaType: 'application/octet-stream',
    package: name,
    properties: releaseProperties(manifest, row),
    version: { package: name, version: row.version, metadata: row },
  };
}

/** What the document says is published; refuses, as `invalid`, what does not fit together. */
function readPublication(name: string, body: PublishBody): Publication {
  const { tarball } = body;
  const document = readPublishDocument(body);
  if (document['name'] !== name) {
    throw new AppError('invalid', `The document is of "${clip(String(document['name']))}", but was sent as "${name}".`);
  }
  const versions = Object.entries(recordOf(document['versions']));
  const [first] = versions;
  if (!first || versions.length > 1) {
    throw new AppError('invalid', `One version can be published at a time, but the document has ${versions.length}.`);
  }
  const version = parseVersion(first[0]);
  const manifest = recordOf(first[1]);
  if (manifest['name'] !== name || manifest['version'] !== version) {
    throw new AppError('invalid', `What the document calls ${name}@${version} calls itself otherwise.`);
  }
  requireAttachments(name, version, document, tarball);
  return {
    name,
    version,
    manifest,
    dist: recordOf(manifest['dist']),
    tags: readTags(document['dist-tags'], version),
    attestations: readAttestations(document),
  };
}

function requireAttachments(
  name: string,
  version: string,
  document: Readonly<Record<string, unknown>>,
  tarball: PublishBody['tarball'],
): void {
  const base = name.slice(name.indexOf('/') + 1);
  const names = [`${name}-${version}.tgz`, `${base}-${version}.tgz`];
  if (!tarball || !names.includes(tarball.key)) {
    throw new AppError('invalid', `The tarball of ${name}@${version} must be called "${names[0]}".`);
  }
  const attachments = recordOf(document['_attachments']);
  for (const key of Object.keys(attachments)) {
    if (key === tarball.key || names.some((known) => key === known.replace(/\.tgz$/, '.sigstore'))) continue;
    throw new AppError(
      'invalid',
      `The document has an attachment "${clip(key)}", which does not belong to ${name}@${version}.`,
    );
  }
  const { length } = recordOf(attachments[tarball.key]);
  if (tarball.size === 0) throw new AppError('invalid', 'The tarball in the document is empty.');
  if (length !== undefined && length !== tarball.size) {
    throw new AppError(
      'invalid',
      `The tarball has ${tarball.size} bytes, but the document says ${clip(String(length), 40)}.`,
    );
  }
}

function readTags(value: unknown, version: string): readonly string[] {
  const tags = Object.entries(recordOf(value));
  if (tags.length > 100) throw new AppError('invalid', 'A version cannot be published with more than 100 tags.');
  return tags.map(([tag, target]) => {
    if (target === version) return parseTag(tag);
    throw new AppError('invalid', `The tag "${clip(tag)}" points to a version other than the one that is published.`);
  });
}

function readAttestations(document: Readonly<Record<string, unknown>>): Publication['attestations'] {
  for (const [key, value] of Object.entries(recordOf(document['_attachments']))) {
    if (!key.endsWith('.sigstore')) continue;
    const { data } = recordOf(value);
    if (typeof data !== 'string' || data.length > MAX_DATA) {
      throw new AppError('invalid', 'The attestations that came with the package are too large or are no text.');
    }
    let bundle: unknown;
    try {
      bundle = JSON.parse(data);
    } catch {
      throw new AppError('invalid', 'The attestations that came with the package are not JSON.');
    }
    const kind = predicateType(bundle);
    return { kind, text: JSON.stringify({ attestations: [{ predicateType: kind, bundle }] }) };
  }
  return undefined;
}

/** What kind of statement the bundle signs. */
function predicateType(bundle: unknown): string {
  const { payload } = recordOf(recordOf(bundle)['dsseEnvelope']);
  try {
    const statement: unknown = JSON.parse(Buffer.from(String(payload ?? ''), 'base64').toString('utf8'));
    const { predicateType: kind } = recordOf(statement);
    if (typeof kind === 'string') return kind.slice(0, 255);
  } catch {
    // Then it is not a statement that anybody here can read; its readers judge it.
  }
  return 'https://slsa.dev/provenance/v1';
}

/** The tarball, once it is what the document says it is. */
async function verified(landed: Landed, { name, version, manifest, dist }: Publication): Promise<Tarball> {
  const tarball = await readTarball(await landed.content()).catch((error: unknown) => {
    if (error instanceof NotAPackage)
      throw new AppError('invalid', `The tarball of ${name}@${version} cannot be published: ${error.message}.`);
    throw error;
  });
  const { integrity, shasum } = dist;
  const given = typeof integrity === 'string' ? integrity.trim().split(/\s+/) : [];
  const sha512 = given.filter((item) => item.startsWith('sha512-'));
  if (sha512.length > 0 && !sha512.some((item) => item.split('?', 1)[0] === tarball.integrity))
    throw damaged('integrity');
  if (typeof shasum === 'string' && shasum.toLowerCase() !== tarball.sha1) throw damaged('shasum');
  requireSameManifest(manifest, tarball);
  return tarball;
}

function damaged(field: string): AppError {
  return new AppError(
    'invalid',
    `The tarball was damaged on its way: its bytes do not match "dist.${field}". Publish again.`,
  );
}

/** Versions that differ in their build metadata only are the same version to every client. */
async function refuseSibling(repo: Repository, name: string, version: string): Promise<void> {
  const bare = withoutBuild(version);
  const siblings = await repo.versionNames(name, { after: `${bare}*`, before: `${bare},`, limit: 10 });
  const other = siblings.map((found) => found.version).find((found) => found !== version && !found.includes('/'));
  if (other !== undefined) throw sibling(name, version, other);
}

function sibling(name: string, version: string, other: string): AppError {
  return new AppError(
    'conflict',
    `Version ${version} of "${name}" cannot be published beside ${other}: to clients, build metadata makes no other version.`,
  );
}

/** A version is published once; whoever may overwrite it may send the same again. */
async function refuseRepeated(
  tree: Tree,
  repo: Repository,
  { name, version, landed }: { readonly name: string; readonly version: string; readonly landed: Landed },
): Promise<void> {
  const path = tarballPath(name, version);
  const note = removalPath(name, version);
  if (await tree.get(note)) throw removedBefore(name, version, note);
  const bare = withoutBuild(version);
  if (bare !== version && (await tree.version(name, bare))) throw sibling(name, version, bare);
  for (const found of await rowsOf(tree, name, version)) {
    if (!readRow(found)) continue;
    const isSame = found.path === path && found.sha256 === landed.sha256;
    if (!isSame || !repo.allows('delete', path)) throw alreadyPublished(name, version);
  }
}

async function storeAttestations(repo: Repository, name: string, version: string, text: string): Promise<Landed> {
  return repo.store(attestationsPath(name, version), Readable.from([Buffer.from(text)]));
}

/** Stores the tarball while it comes. */
class TarballStore {
  readonly #repo: Repository;
  readonly #folder: RepoPath;
  readonly #signal: AbortSignal;
  #storing: Promise<Landed> | undefined;
  #bytes: PassThrough | undefined;

  constructor(repo: Repository, folder: RepoPath, signal: AbortSignal) {
    this.#repo = repo;
    this.#folder = folder;
    this.#signal = signal;
  }

  open(key: string): TarballSink {
    if (
      !/^[^\\\u0000-\u001f\u007f]{1,300}$/.test(key) ||
      key.split('/').some((part) => part === '..' || part === '.' || part === '')
    ) {
      throw new AppError('invalid', `The tarball cannot be called "${clip(key)}".`);
    }
    const bytes = new PassThrough();
    this.#bytes = bytes;
    const storing = this.#repo.store(joinPath(this.#folder, key), bytes, {
      allChecksums: true,
      maxBytes: MAX_TARBALL,
      signal: this.#signal,
    });
    this.#storing = storing;
    // Whoever waits is told; without a listener a failure in between would end the process.
    const failed = storing.then(() => undefined);
    failed.catch(() => undefined);
    return {
      write(chunk) {
        if (bytes.destroyed) return failed;
        if (bytes.write(chunk)) return undefined;
        return Promise.race([new Promise<void>((resolve) => bytes.once('drain', resolve)), failed]);
      },
      async end() {
        bytes.end();
        await storing;
      },
    };
  }

  async landed(): Promise<Landed | undefined> {
    return this.#storing;
  }

  /** Gives up what no change has named. */
  async discard(): Promise<void> {
    if (this.#bytes?.writableEnded === false) this.#bytes.destroy(new Error('the document could not be read'));
    const landed = await this.#storing?.catch(() => undefined);
    await landed?.discard();
  }
}
