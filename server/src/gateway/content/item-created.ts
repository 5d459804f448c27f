/** What a client is told of the file or folder it made. */
import type { Checksums } from '../../core/ids.ts';
import type { Reply } from '../../core/protocol.ts';
import type { DeclaredChecksums, TreeNode } from '../../core/repository.ts';
import { type ContentRequest, latinJson, uriOf } from './content-request.ts';

const MEDIA_TYPE = 'application/vnd.org.jfrog.artifactory.storage.ItemCreated+json';
/** Old plug-ins of build servers that fail at fields they do not know. */
const OLD_BUILD_CLIENT = 'ArtifactoryBuildClient/';

/** Artifactory's answer to a deploy. What the client deployed is its own, so it may hear of it in full. */
export function fileCreated(
  request: ContentRequest,
  node: TreeNode,
  { checksums, declared }: { readonly checksums: Checksums; readonly declared: DeclaredChecksums },
): Reply {
  const { repo, exchange } = request;
  const uri = uriOf(request, node.path);
  const { sha1, md5, sha256 } = checksums;
  const isOld = exchange.request.headers['user-agent']?.includes(OLD_BUILD_CLIENT) === true;
  const strongest = isOld ? {} : { sha256 };
  const json = {
    repo: repo.key,
    path: `/${node.path}`,
    created: node.createdAt.toISOString(),
    createdBy: node.createdBy,
    downloadUri: uri,
    mimeType: node.mediaType,
    size: String(node.size),
    checksums: { sha1, md5, ...strongest },
    originalChecksums: {
      ...(declared.sha1 !== undefined && { sha1: declared.sha1 }),
      ...(declared.md5 !== undefined && { md5: declared.md5 }),
      ...strongest,
    },
    uri,
  };
  return latinJson(201, MEDIA_TYPE, json, {
    Location: uri,
    'X-Checksum-Sha256': sha256,
    'X-Checksum-Sha1': sha1,
    'X-Checksum-Md5': md5,
  });
}

export function folderCreated(request: ContentRequest, node: TreeNode): Reply {
  const uri = `${uriOf(request, node.path)}/`;
  const modified = node.modifiedAt.toISOString();
  const json = {
    repo: request.repo.key,
    path: `/${node.path}/`,
    created: node.createdAt.toISOString(),
    createdBy: node.createdBy,
    lastModified: modified,
    modifiedBy: node.modifiedBy,
    lastUpdated: modified,
    children: [],
    uri,
  };
  return latinJson(201, MEDIA_TYPE, json, { Location: uri });
}
