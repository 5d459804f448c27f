/** Answers with the index and with files. */
import { AppError } from '../../core/errors.ts';
import { clip, parseRepoPath } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply, Route } from '../../core/protocol.ts';
import { RenderedDocuments, renderedReply } from '../../core/rendered.ts';
import type { ChartIndex } from './chart-index.ts';
import { INDEX } from './names.ts';
import { renderIndex } from './render.ts';

/** Answers with the index of all charts, of which what was rendered is kept. */
export function indexHandler(): Route['handle'] {
  const documents = new RenderedDocuments();
  return (request, context) => getIndex(documents, request, context);
}

async function getIndex(
  documents: RenderedDocuments,
  request: ProtocolRequest,
  { repo, links }: ProtocolContext,
): Promise<Reply> {
  const held = await repo.document(INDEX, '');
  if (!held) throw new AppError('not_found', `The repository "${repo.key}" has no index.`);
  const rendered = await documents.of<ChartIndex>(held, `index\n${links.mount}`, (index) =>
    renderIndex(index, links.mount),
  );
  return renderedReply(request, rendered, { 'Cache-Control': 'private, no-cache' });
}

/** People who open the address of the repository want its index. */
export async function getHome(_request: ProtocolRequest, { links }: ProtocolContext): Promise<Reply> {
  return { status: 302, headers: { Location: `${links.mount}/index.yaml` } };
}

/** A chart, or what lies beside it. */
export async function getFile(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const path = parseRepoPath(request.params['path'] ?? '');
  const asset = await repo.serve({ path }, request.method === 'HEAD' ? 'headers' : 'bytes');
  if (!asset) {
    throw new AppError('not_found', `There is no file "${clip(path, 300)}" in the Helm repository "${repo.key}".`);
  }
  return { asset, ranges: true, lastModified: true, redirectable: true };
}
