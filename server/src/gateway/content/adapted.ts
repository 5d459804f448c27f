/** Files that a virtual repository gives otherwise than its member has them. */
import { atRest } from '../../core/arriving.ts';
import { readAll } from '../../core/bodies.ts';
import type { Reply } from '../../core/protocol.ts';
import { renderedReply } from '../../core/rendered.ts';
import type { Arriving, Asset } from '../../core/repository.ts';
import { Lru } from '../../lib/lru.ts';
import { Rendered } from '../../lib/rendered.ts';
import type { ContentRequest } from './content-request.ts';

/** By the bytes and what is made of them. */
const kept = new Lru<string, Rendered>({ maxEntries: 2000 });
const unchanged = new Lru<string, true>({ maxEntries: 50_000 });

/** The file as the virtual repository gives it; undefined where it is the member's. */
export async function adaptedReply(request: ContentRequest, found: Asset | Arriving): Promise<Reply | undefined> {
  const made = await adapted(request, found);
  if (!made) return undefined;
  const { method = 'GET', headers } = request.exchange.request;
  return renderedReply({ method, headers }, made.rendered, {
    'X-Checksum-Sha1': await made.rendered.sum('sha1'),
    'X-Checksum-Sha256': await made.rendered.sum('sha256'),
    'X-Checksum-Md5': await made.rendered.sum('md5'),
    'Last-Modified': made.file.modifiedAt.toUTCString(),
  });
}

/** The checksum of the file as the virtual repository gives it. */
export async function adaptedChecksum(
  request: ContentRequest,
  found: Asset | Arriving,
  algorithm: 'sha512' | 'sha256' | 'sha1' | 'md5',
): Promise<Reply | undefined> {
  const made = await adapted(request, found);
  if (!made) return undefined;
  const bytes = Buffer.from(await made.rendered.sum(algorithm));
  return { status: 200, bytes, headers: { 'Content-Type': 'application/x-checksum' } };
}

async function adapted(
  { repo, format }: ContentRequest,
  found: Asset | Arriving,
): Promise<{ readonly rendered: Rendered; readonly file: Asset } | undefined> {
  if (repo.rclass !== 'virtual') return undefined;
  const adaptation = format?.adapt?.(found.path, repo.settings);
  if (!adaptation) return undefined;
  const file = await atRest(found);
  if (file.size > adaptation.maxBytes) return undefined;
  const key = `${adaptation.name}\n${file.sha256}`;
  if (unchanged.get(key)) return undefined;
  let rendered = kept.get(key);
  if (!rendered) {
    const { content } = file;
    const bytes = content.inline ?? (await readAll(await content.open(), { limit: adaptation.maxBytes, what: 'file' }));
    const changed = await adaptation.apply(bytes);
    if (!changed) {
      unchanged.set(key, true);
      return undefined;
    }
    rendered = await Rendered.of({ bytes: changed, mediaType: file.mediaType });
    kept.set(key, rendered);
  }
  return { rendered, file };
}
