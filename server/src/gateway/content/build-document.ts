/** Putting the document of a build by its path: it makes the build, as publishing it would. */
import { createHash } from 'node:crypto';
import { publishBuild } from '../../builds/builds.ts';
import { MAX_DOCUMENT_BYTES, parseDocument, runOf } from '../../builds/document.ts';
import { documentPath } from '../../builds/names.ts';
import { readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import { nameOf } from '../../core/principal.ts';
import type { Reply } from '../../core/protocol.ts';
import { claimedChecksums } from './claimed-checksums.ts';
import type { ContentRequest } from './content-request.ts';
import { expectedOf, explained, verified } from './deploy-rules.ts';
import { required } from './deposit.ts';
import { fileCreated } from './item-created.ts';

const PACKAGE_TYPE = 'buildinfo';

export function holdsBuilds({ repo }: ContentRequest): boolean {
  return repo.packageType === PACKAGE_TYPE;
}

/** Answers a PUT; `invalid` unless the body is a document of a build and lies where that belongs. */
export async function putBuild(request: ContentRequest): Promise<Reply> {
  const { repo, exchange, plain, caller } = request;
  const bytes = await readAll(exchange.body(), { limit: MAX_DOCUMENT_BYTES, what: 'document of the build' });
  await verified(request, async () => requireClaimed(bytes, expectedOf(request)));
  const document = parseDocument(bytes, nameOf(caller.principal));
  const path = documentPath(runOf(document));
  if (path !== plain.path) {
    throw new AppError(
      'invalid',
      `The document is of a build that belongs at "${clip(path, 300)}", not at "${clip(plain.path, 300)}".`,
    );
  }
  const checksums = await explained(request, path, () => publishBuild(repo, document));
  const node = await repo.change(path, async (tree) => required(await tree.get(path)));
  const { sha1, md5 } = claimedChecksums(exchange.request.headers);
  return fileCreated(request, node, { checksums, declared: { sha1, md5 } });
}

function requireClaimed(bytes: Buffer, claimed: Readonly<Record<string, string | undefined>>): void {
  for (const [algorithm, expected] of Object.entries(claimed)) {
    const actual = createHash(algorithm).update(bytes).digest('hex');
    if (expected === undefined || expected === actual) continue;
    throw new AppError('invalid', 'The bytes are not those that were declared.', {
      mismatch: { algorithm, expected, actual },
    });
  }
}
