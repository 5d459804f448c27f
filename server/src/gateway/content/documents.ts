/** Documents under plain paths: made from what the repository holds, never stored. */
import { AppError } from '../../core/errors.ts';
import type { PathKind } from '../../core/format.ts';
import { clip, type RepoPath } from '../../core/ids.ts';
import type { Reply } from '../../core/protocol.ts';
import { RenderedDocuments, renderedReply } from '../../core/rendered.ts';
import type { Rendered } from '../../lib/rendered.ts';
import { type ContentRequest, uriOf } from './content-request.ts';

type DocumentPath = Extract<PathKind, { kind: 'document' }>;

const documents = new RenderedDocuments();

/** The document that the path names; undefined when there is nothing to make it of. */
export async function documentReply(request: ContentRequest, path: DocumentPath): Promise<Reply | undefined> {
  const { request: incoming } = request.exchange;
  const rendered = await render(request, path);
  if (!rendered) return undefined;
  return renderedReply({ method: incoming.method ?? 'GET', headers: incoming.headers }, rendered, {
    'X-Checksum-Sha1': await rendered.sum('sha1'),
  });
}

/** The checksum of the document as it is now. */
export async function documentChecksum(
  request: ContentRequest,
  path: DocumentPath,
  algorithm: 'sha512' | 'sha256' | 'sha1' | 'md5',
): Promise<Reply | undefined> {
  const rendered = await render(request, path);
  if (!rendered) return undefined;
  return {
    status: 200,
    bytes: Buffer.from(await rendered.sum(algorithm)),
    headers: { 'Content-Type': 'application/x-checksum' },
  };
}

/** Answers a client that puts a document itself: it is made here, so there is nothing to keep. */
export function takeDocument(request: ContentRequest, path: DocumentPath): Reply {
  if (path.puts === 'taken') {
    request.exchange.body().resume();
    return { status: 201, headers: { Location: uriOf(request, request.plain.path) } };
  }
  throw new AppError(
    'conflict',
    `"${clip(request.plain.path, 300)}" is made by the server from what the repository holds. Put the packages, not their index.`,
  );
}

async function render(request: ContentRequest, { document, name }: DocumentPath): Promise<Rendered | undefined> {
  const { repo, format } = request;
  const kind = format?.documents?.[document];
  const held = kind && (await repo.document(document, name));
  if (!held) return undefined;
  const base = uriOf(request, '' as RepoPath).replace(/\/+$/, '');
  return documents.of(held, `${document}\n${name}\n${base}`, (doc, previous) =>
    kind.render(doc, { base, path: request.plain.path, previous }),
  );
}
