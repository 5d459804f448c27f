/** Answers with files: distributions, the METADATA of wheels, and provenance. */
import { atRest } from '../../core/arriving.ts';
import { AppError } from '../../core/errors.ts';
import { clip, parseRepoPath, type RepoPath } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import { renderedReply } from '../../core/rendered.ts';
import type { Arriving, Asset, Repository } from '../../core/repository.ts';
import { ArchiveProblem } from '../../lib/archives/budget.ts';
import { Lru } from '../../lib/lru.ts';
import { Rendered } from '../../lib/rendered.ts';
import { readWheelMetadata } from './archive.ts';
import { INTEGRITY_TYPE } from './attestations.ts';
import { requireProject } from './index-pages.ts';
import { distributionAt, distributionOf, METADATA_ENDING, PROVENANCE_ENDING } from './names.ts';
import type { ProjectFile } from './project.ts';

const FOREVER = 'private, max-age=31536000, immutable';
const METADATA_KEPT = 256;

/** The METADATA of wheels that were asked for lately, by the digest of the wheel. */
const metadataOf = new Lru<string, Rendered>({ maxEntries: METADATA_KEPT });

/** A file below `packages/`, under the path of the repository or that of an upstream. */
export async function getFile(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const path = parseRepoPath(request.params['path'] ?? '');
  if (path.endsWith(METADATA_ENDING)) {
    const reply = await metadataReply(request, repo, path);
    if (reply) return reply;
  }
  const asset = await serve(repo, path, request.method);
  if (!asset) throw new AppError('not_found', `There is no file "${clip(path, 300)}" in the repository "${repo.key}".`);
  const isMetadata = path.endsWith(METADATA_ENDING);
  return {
    asset,
    ranges: true,
    lastModified: true,
    redirectable: true,
    headers: { 'Cache-Control': FOREVER },
    ...(isMetadata && { mediaType: 'application/octet-stream' }),
  };
}

/** Addresses of an upstream's files work with the folder in which it has them, and without. */
async function serve(repo: Repository, path: RepoPath, method: string): Promise<Asset | Arriving | undefined> {
  const purpose = method === 'HEAD' ? 'headers' : 'bytes';
  const found = await repo.serve({ path }, purpose);
  if (found || repo.rclass === 'local' || path.startsWith('packages/')) return found;
  return repo.serve({ path: `packages/${path}` as RepoPath }, purpose);
}

async function metadataReply(request: ProtocolRequest, repo: Repository, path: RepoPath): Promise<Reply | undefined> {
  const rendered = await findMetadata(repo, path);
  return rendered && renderedReply(request, rendered, { 'Cache-Control': FOREVER });
}

/** The METADATA of a wheel that is held, read from the wheel; undefined where there is none. */
async function findMetadata(repo: Repository, path: RepoPath): Promise<Rendered | undefined> {
  const of = distributionOf(path);
  const name = of && distributionAt(of);
  if (of === undefined || name?.kind !== 'wheel') return undefined;
  const wheel = await repo.get(of);
  if (!wheel) return undefined;
  const kept = metadataOf.get(wheel.sha256);
  if (kept) return kept;
  const bytes = await readWheelMetadata(name, wheel.content).catch((error: unknown) => {
    if (error instanceof ArchiveProblem) return undefined;
    throw error;
  });
  if (!bytes) return undefined;
  const rendered = await Rendered.of({ bytes, mediaType: 'application/octet-stream' });
  if (bytes.length <= MAX_KEPT_BYTES) metadataOf.set(wheel.sha256, rendered);
  return rendered;
}

const MAX_KEPT_BYTES = 256 * 1024;

/** The METADATA of a file of a project, whoever has it; undefined where it cannot be had by itself. */
export async function readMetadataOf(repo: Repository, file: ProjectFile): Promise<Buffer | undefined> {
  const path = `${file.path}${METADATA_ENDING}` as RepoPath;
  const held = await findMetadata(repo, path);
  if (held) return held.bytes;
  if (file.metadata === undefined) return undefined;
  const asset = await repo.serve({ path }, 'bytes');
  if (!asset) return undefined;
  const { content } = await atRest(asset);
  return content.inline ?? Buffer.concat(await Array.fromAsync(await content.open()));
}

/** What is attested of a file (PEP 740). */
export async function getProvenance(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const { project = '', filename = '' } = request.params;
  const file = (await requireProject(repo, project)).files.find((each) => each.filename === filename);
  const path = file && (`${file.path}${PROVENANCE_ENDING}` as RepoPath);
  const asset = file?.attested && path !== undefined ? await repo.serve({ path }, 'bytes') : undefined;
  if (!asset) throw new AppError('not_found', `There is no provenance of "${clip(filename)}".`);
  return { asset, mediaType: INTEGRITY_TYPE, headers: { 'Cache-Control': 'private, max-age=600' } };
}
