/** Putting files and folders. */
import { AppError } from '../../core/errors.ts';
import type { Properties } from '../../core/ids.ts';
import type { Reply } from '../../core/protocol.ts';
import { holdsBuilds, putBuild } from './build-document.ts';
import { checksumDeployFailed, deployByChecksum } from './checksum-deploy.ts';
import { claimedChecksums } from './claimed-checksums.ts';
import type { ContentRequest } from './content-request.ts';
import { expectedOf, isOn, requireTaken, verified } from './deploy-rules.ts';
import { deposit, required } from './deposit.ts';
import { takeDocument } from './documents.ts';
import { asksToExplode, explode } from './explode.ts';
import { fileCreated, folderCreated } from './item-created.ts';
import { propertiesOf } from './matrix.ts';
import { putSidecar } from './sidecars.ts';

/** Answers a PUT. */
export async function put(request: ContentRequest): Promise<Reply> {
  const { repo, format, plain, exchange } = request;
  const { path } = plain;
  if (path === '') throw new AppError('invalid', 'The address names a repository but no file in it.');
  repo.require('deploy', path);
  requireTaken(request, path);
  const properties = propertiesOf(plain.parameters);
  if (plain.folder) return putFolder(request, properties);
  if (holdsBuilds(request)) {
    // Bytes that are linked make no build: the client sends them then.
    if (isOn(exchange.request.headers['x-checksum-deploy'])) throw checksumDeployFailed();
    return putBuild(request);
  }
  const kind = format?.classify(path);
  if (kind?.kind === 'document') return takeDocument(request, kind);
  if (kind?.kind === 'checksum') {
    const of = format?.classify(kind.of);
    return of?.kind === 'document' ? takeDocument(request, of) : putSidecar(request, kind);
  }
  if (asksToExplode(request) && !isOn(exchange.request.headers['x-checksum-deploy']))
    return explode(request, properties);
  if (isOn(exchange.request.headers['x-checksum-deploy'])) return deployByChecksum(request, properties);
  return putFile(request, properties);
}

async function putFile(request: ContentRequest, properties: Properties): Promise<Reply> {
  const { repo, exchange, plain } = request;
  const { sha1, md5 } = claimedChecksums(exchange.request.headers);
  const landed = await verified(request, () =>
    repo.store(plain.path, exchange.body(), {
      expected: expectedOf(request),
      allChecksums: true,
      signal: exchange.signal,
    }),
  );
  try {
    const node = await deposit(request, landed, properties, { sha1, md5 });
    const checksums = { sha256: landed.sha256, sha1: landed.sha1 ?? '', md5: landed.md5 ?? '' };
    return fileCreated(request, node, { checksums, declared: { sha1, md5 } });
  } finally {
    await landed.discard();
  }
}

async function putFolder(request: ContentRequest, properties: Properties): Promise<Reply> {
  const { repo, plain } = request;
  const { path } = plain;
  const annotates = Object.keys(properties).length > 0 && repo.allows('annotate', path);
  const node = await repo.change(path, async (tree) => {
    await tree.makeFolder(path);
    if (annotates) await tree.annotate(path, { set: properties });
    return required(await tree.get(path));
  });
  return folderCreated(request, node);
}
