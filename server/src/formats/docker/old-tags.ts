/** Keeps only so many tags of an image, where its repository says how many. */
import { joinPath, type RepoPath, splitPath } from '../../core/ids.ts';
import type { Repository, Tree } from '../../core/repository.ts';
import { INDEX, isTag, MANIFEST, tagFolder } from './names.ts';
import { leadOf, untag } from './placement.ts';

const PAGE = 500;

/** The image whose tags a deposit may have made too many; undefined where it is no manifest, or all tags are kept. */
export function imageOfTag(path: RepoPath, settings: Repository['settings']): string | undefined {
  if (maxTags(settings) === 0) return undefined;
  const { parent, name } = splitPath(path);
  if (name !== MANIFEST && name !== INDEX) return undefined;
  const { parent: image, name: version } = splitPath(parent);
  return image !== '' && isTag(version) ? image : undefined;
}

/**
 * Removes the tags that were pushed longest ago, beyond as many as the repository keeps. What an index names stays under
 * its digest, and a tag that is pushed again meanwhile stays.
 */
export async function removeOldTags(repo: Repository, image: string, proceed: () => Promise<void>): Promise<void> {
  const keep = maxTags(repo.settings);
  const tags = keep === 0 ? [] : await tagsOf(repo, image);
  if (tags.length <= keep) return;
  const pushed: { readonly tag: string; readonly at: number; readonly createdAt: number }[] = [];
  for (const tag of tags) {
    const asset = await repo.version(image, tag);
    if (asset) pushed.push({ tag, at: asset.modifiedAt.getTime(), createdAt: asset.createdAt.getTime() });
    if (pushed.length % 100 === 0) await proceed();
  }
  pushed.sort((one, other) => other.at - one.at || other.createdAt - one.createdAt);
  for (const { tag, at } of pushed.slice(keep)) {
    await proceed();
    await repo.change(image, (tree) => removeTag(tree, image, { folder: tagFolder(image, tag), at }));
  }
}

async function removeTag(
  tree: Tree,
  image: string,
  { folder, at }: { readonly folder: RepoPath; readonly at: number },
): Promise<void> {
  const lead = await leadOf(tree, folder);
  if (lead?.sha256 === undefined || lead.modifiedAt.getTime() !== at) return;
  const naming = { key: 'oci.child', value: `sha256:${lead.sha256}` };
  if ((await tree.versionsWith(image, naming, 1)).length > 0) await untag(tree, image, folder);
  else await tree.deleteFiles(folder);
}

async function tagsOf(repo: Repository, image: string): Promise<string[]> {
  const tags: string[] = [];
  for (let after: string | undefined; ; ) {
    const page = await repo.versionNames(image, { limit: PAGE, ...(after !== undefined && { after }) });
    for (const { version, path } of page) {
      if (isTag(version) && splitPath(path).parent === joinPath(tagFolder(image, version))) tags.push(version);
    }
    after = page.at(-1)?.version;
    if (page.length < PAGE) return tags;
  }
}

function maxTags(settings: Repository['settings']): number {
  const value = settings['maxUniqueTags'];
  return typeof value === 'number' ? value : 0;
}
