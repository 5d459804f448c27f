/** Uploads: the file is stored, read and checked, and named together with what it brings along. */
import { Readable } from 'node:stream';
import { AppError, isAppError } from '../../core/errors.ts';
import { clip, joinPath, type RepoPath, splitPath } from '../../core/ids.ts';
import type { ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Deposit, Landed, Repository, Tree } from '../../core/repository.ts';
import { INTEGRITY_TYPE, readAttestations } from './attestations.ts';
import { readUpload, type Upload } from './form.ts';
import { PROVENANCE_ENDING, parseFilename, SIGNATURE_ENDING, sameDistributionKey } from './names.ts';
import { type Described, describeDistribution } from './release.ts';

/** Answers the upload of one file. */
export async function upload(request: ProtocolRequest, repo: Repository): Promise<Reply> {
  const form = await readUpload(request, repo);
  const landed = [form.landed];
  try {
    const { name, path, signature, attestations } = form;
    const content = await form.landed.content();
    const described = await describeDistribution(name, { path, content, md5: form.landed.md5 });
    const provenance =
      attestations === undefined || attestations === ''
        ? undefined
        : readAttestations(attestations, { filename: name.filename, sha256: form.landed.sha256 });
    const sidecars = new Map<RepoPath, Deposit>();
    for (const [ending, bytes, mediaType] of [
      [SIGNATURE_ENDING, signature, 'application/pgp-signature'],
      [PROVENANCE_ENDING, provenance, INTEGRITY_TYPE],
    ] as const) {
      if (!bytes) continue;
      const beside = `${path}${ending}` as RepoPath;
      const stored = await repo.store(beside, Readable.from([bytes]));
      landed.push(stored);
      sidecars.set(beside, { content: stored, mediaType, package: name.project });
    }
    await repo.change(name.project, (tree) => place(tree, form, { described, sidecars }));
  } catch (error) {
    throw isAppError(error, 'forbidden') && error.detail['action'] === 'delete' ? overwriting(repo, form.path) : error;
  } finally {
    for (const each of landed) await each.discard();
  }
  return { status: 200, text: '' };
}

interface Placed {
  readonly described: Described;
  readonly sidecars: ReadonlyMap<RepoPath, Deposit>;
}

/** The same bytes once more change nothing, and so need no right to overwrite. */
async function place(tree: Tree, form: Upload, { described, sidecars }: Placed): Promise<void> {
  const { path, landed, name } = form;
  const existing = await tree.get(path);
  if (existing?.sha256 === landed.sha256) return;
  await refuseOtherSpelling(tree, form);
  const { version, ...rest } = described;
  const metadata = {
    ...version.metadata,
    ...(sidecars.has(`${path}${SIGNATURE_ENDING}` as RepoPath) && { signed: true }),
    ...(sidecars.has(`${path}${PROVENANCE_ENDING}` as RepoPath) && { attested: true }),
  };
  if (existing) await removeSidecars(tree, path);
  const deposit = depositOf(landed, { ...rest, version: { ...version, metadata } });
  await tree.put(new Map([[path, { ...deposit, package: name.project }], ...sidecars]));
}

function depositOf(content: Landed, { mediaType, version, properties }: Described): Deposit {
  return { content, mediaType, version, properties };
}

/** What belongs to the bytes that were there says nothing of others. */
async function removeSidecars(tree: Tree, path: RepoPath): Promise<void> {
  for (const ending of [SIGNATURE_ENDING, PROVENANCE_ENDING]) {
    const beside = `${path}${ending}` as RepoPath;
    if (await tree.get(beside)) await tree.delete(beside);
  }
}

/** `Foo.Bar-1.0.tar.gz` and `foo_bar-1.0.tar.gz` are one thing to installers, so only one of them can be there. */
async function refuseOtherSpelling(tree: Tree, { name, path }: Upload): Promise<void> {
  const { parent } = splitPath(path);
  for (const child of await tree.children(parent)) {
    const filename = splitPath(child.path).name;
    const other = child.folder || child.path === path ? undefined : parseFilename(filename);
    if (!other || sameDistributionKey(other) !== sameDistributionKey(name)) continue;
    throw new AppError(
      'conflict',
      `The file "${clip(name.filename)}" already exists, spelled "${clip(filename)}". Publish a new version instead.`,
    );
  }
}

/** In words that clients look for when they are to skip what exists. */
function overwriting(repo: Repository, path: RepoPath): AppError {
  const what = clip(joinPath(repo.key, path).replace('/', ':'), 300);
  return new AppError(
    'forbidden',
    `A file of this name exists with other contents, and you have no right to overwrite artifact '${what}'. Publish a new version instead.`,
    { action: 'delete' },
  );
}
