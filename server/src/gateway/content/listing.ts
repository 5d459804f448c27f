/** Folders as pages of links, for people and for tools that read directory listings. */
import type { RepoPath } from '../../core/ids.ts';
import type { Reply } from '../../core/protocol.ts';
import type { Entry, Folder } from '../../core/repository.ts';
import { type ContentRequest, uriOf } from './content-request.ts';

const PAGE = 500;
const HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Cache-Control': 'no-store',
  // The names are those that strangers gave: nothing on this page may run.
  'Content-Security-Policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
};

/** The page of a folder; without a slash at its end the address is sent on to the one that has it. */
export function folderReply(request: ContentRequest, folder: Folder): Reply {
  const { plain, exchange, style } = request;
  if (!plain.folder) {
    const { rawQuery } = exchange.target;
    const at = uriOf(request, folder.path);
    return { status: 302, headers: { Location: `${at}/${rawQuery === '' ? '' : `?${rawQuery}`}` } };
  }
  const pieces = style === 'simple' ? simplePage(request, folder.path) : page(request, folder.path);
  return { status: 200, pieces, headers: HEADERS };
}

async function* page(request: ContentRequest, path: RepoPath): AsyncGenerator<string> {
  const title = `Index of ${escapeHtml(`${request.repo.key}/${path}`)}`;
  yield `<!DOCTYPE html>\n<html>\n<head><meta name="robots" content="noindex" /><title>${title}</title></head>\n`;
  yield `<body>\n<h1>${title}</h1>\n<pre>Name    Size</pre><hr/>\n<pre>`;
  if (path !== '') yield '<a href="../">../</a>\n';
  for await (const { name, folder, size, isListed } of childrenOf(request, path)) {
    const shown = folder ? `${name}/` : name;
    const about = isListed ? 'not fetched yet' : folder ? '-' : `${size} bytes`;
    yield `${link(name, folder)}    ${' '.repeat(Math.max(0, 50 - shown.length))}${about}\n`;
  }
  yield '</pre>\n<hr/>\n</body>\n</html>\n';
}

/** Nothing but links. */
async function* simplePage(request: ContentRequest, path: RepoPath): AsyncGenerator<string> {
  yield '<!DOCTYPE html>\n<html>\n<body>\n';
  if (path !== '') yield '<a href="../">../</a><br/>\n';
  for await (const { name, folder } of childrenOf(request, path)) yield `${link(name, folder)}<br/>\n`;
  yield '</body>\n</html>\n';
}

/** Encoded in full, no name can be taken for a scheme or for another place. */
function link(name: string, isFolder: boolean): string {
  const slash = isFolder ? '/' : '';
  return `<a href="${escapeHtml(encodeURIComponent(name))}${slash}">${escapeHtml(name)}${slash}</a>`;
}

async function* childrenOf({ repo }: ContentRequest, folder: RepoPath): AsyncGenerator<Entry> {
  for (let after: string | undefined; ; ) {
    const children = await repo.children(folder, { ...(after !== undefined && { after }), limit: PAGE });
    yield* children;
    after = children.at(-1)?.name;
    if (children.length < PAGE) return;
    // Reading from a database in this process never waits, so the others have to be let in.
    await new Promise(setImmediate);
  }
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
