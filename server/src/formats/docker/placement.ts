/** Where manifests and what they name are put in the tree, pushed here or come from an upstream. */
import { type Digest, joinPath, type RepoPath, renderDigest, type Sha256 } from '../../core/ids.ts';
import type { Asset, Deposit, Landed, Tree, TreeFile } from '../../core/repository.ts';
import { missingBlobs } from './errors.ts';
import type { Manifest } from './manifest.ts';
import { digestFolder, INDEX, layerName, MANIFEST, tagFolder } from './names.ts';
import { manifestProperties, renderVersion } from './version.ts';

export const BLOB_TYPE = 'application/octet-stream';

/** A manifest and where it is meant to lie. */
export interface Placement {
  readonly name: string;
  /** Without one it lies where its digest names it. */
  readonly tags: readonly string[];
  readonly manifest: Manifest;
  readonly content: Landed | Asset;
  readonly labels: Readonly<Record<string, string>>;
  /** The digest the client named it by. */
  readonly named: Digest | undefined;
}

/** What a manifest needs that is not in its repository yet, found where the caller may read it. */
export interface Elsewhere {
  /** By digest. */
  readonly blobs: ReadonlyMap<string, Asset>;
  /** Those that others name come first. */
  readonly manifests: readonly Placement[];
}

export const NOWHERE_ELSE: Elsewhere = { blobs: new Map(), manifests: [] };

/** One change: what the manifest needs is here, it lies where its tags say, and what it replaces stays by digest. */
export async function placeManifest(tree: Tree, placement: Placement, elsewhere = NOWHERE_ELSE): Promise<void> {
  const missing = { blobs: [] as Digest[], manifests: [] as Digest[] };
  for (const each of [...elsewhere.manifests, placement]) {
    const files = await findFiles(tree, each, elsewhere);
    if (files.missing.length === 0) await placeEverywhere(tree, each, files);
    else missing[each.manifest.kind === 'index' ? 'manifests' : 'blobs'].push(...files.missing);
  }
  // All that is missing is told at once, so that it can be looked for at once; first what keeps images from their place.
  requireNone(missing.blobs, false);
  requireNone(missing.manifests, true);
}

/**
 * The same for what came from an upstream: what it names need not be here, and is expected beside it instead. Returns
 * where the manifest lies now, under the first of its tags.
 */
export async function placeCached(tree: Tree, placement: Placement): Promise<RepoPath> {
  const { layers } = placement.manifest;
  const digests = layers.map(({ digest }) => digest);
  const files = await findFiles(tree, { ...placement, manifest: { ...placement.manifest, required: digests } });
  const missing = new Set(files.missing.map(renderDigest));
  const expected = layers.filter(({ digest }) => missing.has(renderDigest(digest)));
  const leads = await placeEverywhere(tree, placement, files);
  for (const lead of leads) {
    await tree.expect(
      lead,
      expected.map(({ digest, size }) => ({ name: blobName(digest), digest, size, mediaType: BLOB_TYPE })),
    );
  }
  return leads[0] as RepoPath;
}

/** The name of a blob's file. */
function blobName({ algorithm, hex }: Digest): string {
  return `${algorithm}__${hex}`;
}

function requireNone(missing: readonly Digest[], leads: boolean): void {
  if (missing.length > 0) throw missingBlobs(missing, leads);
}

interface Files {
  /** By digest as the manifest names them. */
  readonly held: ReadonlyMap<string, TreeFile | Asset>;
  readonly missing: readonly Digest[];
}

/** The files that hold what the manifest names, and every digest that is missing. */
async function findFiles(tree: Tree, { name, manifest }: Placement, { blobs } = NOWHERE_ELSE): Promise<Files> {
  const resolved = new Map<string, Sha256>();
  for (const digest of manifest.required) {
    const sha256 = await tree.resolve(digest);
    if (sha256) resolved.set(renderDigest(digest), sha256);
  }
  const here = await tree.held(name, [...new Set(resolved.values())]);
  const held = new Map<string, TreeFile | Asset>();
  const missing: Digest[] = [];
  for (const digest of manifest.required) {
    const text = renderDigest(digest);
    const sha256 = resolved.get(text);
    const file = (sha256 && here.get(sha256)) ?? blobs.get(text);
    if (file) held.set(text, file);
    else missing.push(digest);
  }
  return { held, missing };
}

/** Puts it under each of its tags, or under its digest; returns where its own file lies each time. */
async function placeEverywhere(tree: Tree, placement: Placement, files: Files): Promise<RepoPath[]> {
  const { name, tags, content } = placement;
  const leads: RepoPath[] = [];
  for (const tag of tags) {
    leads.push(await placeInFolder(tree, placement, files, { folder: tagFolder(name, tag), version: tag }));
  }
  if (tags.length > 0) return leads;
  const version = `sha256:${content.sha256}`;
  const [existing] = await tree.versionsOf(name, content.sha256, 1);
  // A manifest that lies under some tag can be read by its digest already.
  if (existing) {
    await tree.renew(existing.path, leadDeposit(placement, existing.version));
    return [existing.path];
  }
  return [await placeInFolder(tree, placement, files, { folder: digestFolder(name, content.sha256), version })];
}

function leadDeposit({ name, manifest, content, labels, named }: Placement, version: string): Deposit {
  return {
    content,
    mediaType: manifest.mediaType,
    package: name,
    properties: manifestProperties(name, version, manifest, content.sha256, labels),
    version: { package: name, version, metadata: renderVersion(manifest) },
    ...(named && named.algorithm !== 'sha256' && { etag: renderDigest(named) }),
  };
}

async function placeInFolder(
  tree: Tree,
  placement: Placement,
  { held }: Files,
  { folder, version }: { readonly folder: RepoPath; readonly version: string },
): Promise<RepoPath> {
  const { name, manifest, content } = placement;
  const lead = joinPath(folder, manifest.kind === 'index' ? INDEX : MANIFEST);
  const deposit = leadDeposit(placement, version);
  const current = await leadOf(tree, folder);
  if (current?.sha256 === content.sha256 && current.path === lead) {
    await tree.renew(lead, deposit);
    return lead;
  }
  if (current) await untag(tree, name, folder);
  const files = new Map<RepoPath, Deposit>([[lead, deposit]]);
  for (const { digest } of manifest.layers) {
    const file = held.get(renderDigest(digest));
    if (!file) continue;
    files.set(joinPath(folder, layerName(file.sha256)), { content: file, mediaType: BLOB_TYPE, package: name });
  }
  await tree.put(files);
  return lead;
}

/** The manifest that lies in a folder. */
export async function leadOf(tree: Tree, folder: RepoPath) {
  return (await tree.get(joinPath(folder, MANIFEST))) ?? (await tree.get(joinPath(folder, INDEX)));
}

/**
 * Frees a folder: its manifest stays readable by digest, in a folder of its own if nothing else holds it. Only its files
 * go: the folder of `app:web` holds those of all tags of the image `app/web`.
 */
export async function untag(tree: Tree, name: string, folder: RepoPath): Promise<void> {
  const lead = await leadOf(tree, folder);
  if (!lead?.sha256) return;
  const others = await tree.versionsOf(name, lead.sha256, 2);
  const target = digestFolder(name, lead.sha256);
  if (others.length > 1 || folder === target) {
    await tree.deleteFiles(folder);
    return;
  }
  await tree.moveFiles(folder, target);
  const moved = joinPath(target, lead.path.slice(folder.length + 1));
  await tree.relabel(moved, `sha256:${lead.sha256}`, { 'docker.manifest': [`sha256:${lead.sha256}`] });
}
