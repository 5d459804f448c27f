/** What a format learns from the bytes of files that are put by plain path. */
import { type Ingested, UNINDEXED } from '../../core/format.ts';
import type { Properties, RepoPath, Sha256 } from '../../core/ids.ts';
import type { Asset, Content, Landed, UploadedBytes } from '../../core/repository.ts';
import type { ContentRequest } from './content-request.ts';

const MAX_REASON = 500;

/** What the file adds to its deposit; nothing where the format reads none of its files. */
export async function ingest(
  request: ContentRequest,
  path: RepoPath,
  content: Landed | Asset | UploadedBytes,
  properties: Properties = {},
): Promise<Ingested> {
  const { format, repo } = request;
  if (!format?.ingest) return {};
  const bytes = await contentOf(request, content);
  if (!bytes) return {};
  const checksums =
    'checksums' in content
      ? await content.checksums()
      : { sha256: content.sha256, sha1: content.sha1 ?? '', md5: content.md5 ?? '' };
  const found = await format.ingest({
    path,
    content: bytes,
    checksums,
    settings: repo.settings,
    properties,
    packageType: repo.packageType,
    rclass: repo.rclass,
  });
  if (found.unindexed === undefined) return found;
  return { ...found, properties: { ...found.properties, [UNINDEXED]: [found.unindexed.slice(0, MAX_REASON)] } };
}

async function contentOf(
  { contentOf: find }: ContentRequest,
  content: Landed | Asset | UploadedBytes,
): Promise<Content | undefined> {
  if (!('content' in content)) return find(content.sha256 as Sha256);
  return typeof content.content === 'function' ? content.content() : content.content;
}
