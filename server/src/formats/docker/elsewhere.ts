/**
 * Pushing through a repository that others stand behind: what a client was told is there already may lie in one that
 * is not pushed to, and comes along with the manifest that names it.
 */
import { atRest } from '../../core/arriving.ts';
import { readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { type Digest, parseDigest, renderDigest } from '../../core/ids.ts';
import type { Asset, Repository } from '../../core/repository.ts';
import { type Missing, missingOf } from './errors.ts';
import { readLabels } from './labels.ts';
import { parseManifest } from './manifest.ts';
import { type Elsewhere, NOWHERE_ELSE, type Placement, placeManifest } from './placement.ts';

/** An index, the images it names and their layers, with one more level for indexes in indexes. */
const MAX_ROUNDS = 5;
/** More than any image has; a manifest that names more has to have all of it pushed. */
const MAX_SOUGHT = 500;
const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

/** Puts the manifest into its repository, with what it needs from wherever else the caller may read it. */
export async function placeWithAll(repo: Repository, placement: Placement): Promise<void> {
  let elsewhere = NOWHERE_ELSE;
  for (let round = 1; ; round++) {
    try {
      await repo.change(placement.name, (tree) => placeManifest(tree, placement, elsewhere));
      return;
    } catch (error) {
      const missing = missingOf(error);
      const more = missing && round < MAX_ROUNDS ? await seek(repo, placement.name, missing) : undefined;
      if (!more) throw error;
      elsewhere = {
        blobs: new Map([...elsewhere.blobs, ...more.blobs]),
        manifests: [...more.manifests, ...elsewhere.manifests],
      };
    }
  }
}

/** Undefined as soon as one of them is nowhere. */
async function seek(repo: Repository, name: string, { digests, leads }: Missing): Promise<Elsewhere | undefined> {
  if (digests.length > MAX_SOUGHT) return undefined;
  const blobs = new Map<string, Asset>();
  const manifests: Placement[] = [];
  for (const digest of digests) {
    const asset = await find(repo, name, digest, leads);
    if (!asset) return undefined;
    if (leads) {
      const child = await readChild(repo, name, asset);
      if (!child) return undefined;
      manifests.push(child);
    } else {
      blobs.set(renderDigest(digest), asset);
    }
  }
  return { blobs, manifests };
}

async function find(repo: Repository, name: string, digest: Digest, lead: boolean): Promise<Asset | undefined> {
  try {
    const held = await repo.find(name, digest);
    if (held) return held;
    const found = await repo.serve({ package: name, digest, lead }, 'bytes');
    return found && (await atRest(found));
  } catch (error) {
    // It is not to be had, for whatever reason: the client is told to push it.
    if (error instanceof AppError) return undefined;
    throw error;
  }
}

async function readChild(repo: Repository, name: string, asset: Asset): Promise<Placement | undefined> {
  if (asset.size > MAX_MANIFEST_BYTES) return undefined;
  const bytes = await readAll(await asset.content.open(), { limit: asset.size, what: 'manifest' });
  const manifest = parseManifest(bytes, asset.mediaType, { acceptUnknown: true });
  return {
    name,
    tags: [],
    manifest,
    content: asset,
    labels: await readLabels(repo, name, manifest),
    named: asset.etag === undefined ? undefined : parseDigest(asset.etag),
  };
}
