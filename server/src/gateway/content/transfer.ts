/** WebDAV's COPY and MOVE (RFC 4918, sections 9.8 and 9.9), which name their target in a header. */
import { AppError, type ErrorCode } from '../../core/errors.ts';
import { clip, encodePath, joinPath, type RepoPath } from '../../core/ids.ts';
import type { Reply } from '../../core/protocol.ts';
import { parseTarget } from '../../core/target.ts';
import type { ContentRequest } from './content-request.ts';
import { notFound } from './download.ts';
import { parsePlainPath } from './plain-path.ts';

const CODES: Readonly<Record<number, ErrorCode>> = { 400: 'invalid', 403: 'forbidden', 404: 'not_found' };

/** Answers a COPY or a MOVE: the source gets exactly the path of the target, in place of what is there. */
export async function transfer(request: ContentRequest, { copy }: { readonly copy: boolean }): Promise<Reply> {
  const { repo, plain, exchange } = request;
  const source = plain.path;
  const target = destinationOf(request);
  repo.require('read', source);
  if (source === '' || !((await repo.get(source)) ?? (await repo.folder(source)))) throw notFound(request);
  const there = request.repositoryOf(target.key);
  const exists = ((await there?.get(target.path)) ?? (await there?.folder(target.path))) !== undefined;
  if (exists && exchange.request.headers['overwrite'] === 'F') {
    const what = clip(joinPath(target.key, target.path), 300);
    throw new AppError('precondition_failed', `There is something at "${what}" already, and "Overwrite: F" keeps it.`);
  }
  const { messages } = await request.relocate({
    from: { repo: repo.key, path: source },
    to: { repo: target.key, path: target.path },
    copy,
    exact: true,
    failFast: true,
    ...(exists && { replace: true }),
  });
  const refused = messages.find(({ level }) => level === 'ERROR');
  if (refused) throw new AppError(CODES[refused.status ?? 409] ?? 'conflict', refused.message);
  const address = `${exchange.origin}/artifactory/${encodePath(joinPath(target.key, target.path))}`;
  return exists ? { status: 204 } : { status: 201, headers: { Location: address } };
}

/** An address of this server, whole or from its root, read before anything has normalised it. */
function destinationOf({ exchange }: ContentRequest): { readonly key: string; readonly path: RepoPath } {
  const header = exchange.request.headers['destination'];
  if (typeof header !== 'string' || header === '') {
    throw new AppError('invalid', 'The header "Destination" is needed: it says where to.');
  }
  const { segments, decoded, authority, rawQuery } = parseTarget(header);
  const here = exchange.origin.replace(/^https?:\/\//, '');
  if ((authority !== undefined && authority !== here) || rawQuery !== '') {
    throw new AppError('invalid', `The destination "${clip(header)}" is no address of a file of this server.`);
  }
  const [context, key = ''] = decoded;
  const { path } = parsePlainPath(segments.slice(2));
  if (context !== 'artifactory' || key === '' || path === '') {
    throw new AppError('invalid', `The destination "${clip(header)}" names no place in a repository.`);
  }
  return { key: key.split(';', 1)[0] ?? '', path };
}
