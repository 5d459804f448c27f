/** Answers with the simple index. */
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import { RenderedDocuments, renderedReply } from '../../core/rendered.ts';
import type { Repository } from '../../core/repository.ts';
import { normalizeName } from './names.ts';
import { negotiate } from './negotiation.ts';
import { PROJECT, type Project, type ProjectList, ROOT_LIST } from './project.ts';
import { renderProject, renderRoot } from './simple.ts';

/** Clients ask again each time; what stands between them and us may not keep pages of private projects. */
const CACHING = 'private, max-age=0, must-revalidate';

const documents = new RenderedDocuments();

/** The page of a project. */
export async function getProject(request: ProtocolRequest, { repo, links }: ProtocolContext): Promise<Reply> {
  const name = requireName(request.params['project'] ?? '');
  if (name !== request.params['project'] || !request.path.endsWith('/')) {
    return redirect(`${links.mount}/simple/${name}/`, request);
  }
  const mediaType = negotiated(request);
  const held = await repo.document(PROJECT, name);
  if (!held) throw unknownProject(name, repo);
  const absolute = `${links.origin}${links.mount}`;
  const rendered = await documents.of<Project>(held, `project\n${name}\n${mediaType}\n${absolute}`, (project) =>
    renderProject(project, mediaType, { files: '../../packages', absolute }),
  );
  return renderedReply(request, rendered, { 'Cache-Control': CACHING, Vary: 'Accept, Accept-Encoding' });
}

/** The list of all projects. */
export async function getRoot(request: ProtocolRequest, { repo, links }: ProtocolContext): Promise<Reply> {
  if (!request.path.endsWith('/')) return redirect(`${links.mount}/simple/`, request);
  const mediaType = negotiated(request);
  const held = await repo.document(ROOT_LIST, '');
  if (!held) throw new AppError('not_found', `The repository "${repo.key}" has no list of projects.`);
  const rendered = await documents.of<ProjectList>(held, `root\n${mediaType}`, (list) => renderRoot(list, mediaType));
  return renderedReply(request, rendered, { 'Cache-Control': CACHING, Vary: 'Accept, Accept-Encoding' });
}

/** People who open the address of the repository want its index. */
export async function getHome(request: ProtocolRequest, { links }: ProtocolContext): Promise<Reply> {
  return redirect(`${links.mount}/simple/`, request);
}

/** The project as it is; undefined where nothing has the name. */
export async function findProject(repo: Repository, text: string): Promise<Project | undefined> {
  const held = await repo.document(PROJECT, requireName(text));
  return held && ((await held.read()) as unknown as Project);
}

export async function requireProject(repo: Repository, text: string): Promise<Project> {
  const project = await findProject(repo, text);
  if (!project) throw unknownProject(text, repo);
  return project;
}

function negotiated(request: ProtocolRequest): string {
  return negotiate(request.headers.accept, request.rawQuery === '' ? null : request.query.get('format'));
}

function redirect(path: string, { rawQuery }: ProtocolRequest): Reply {
  return { status: 301, text: '', headers: { Location: rawQuery === '' ? path : `${path}?${rawQuery}` } };
}

function requireName(text: string): string {
  const name = normalizeName(text);
  if (name === undefined) throw new AppError('not_found', `"${clip(text)}" is no valid name of a project.`);
  return name;
}

function unknownProject(text: string, repo: Repository): AppError {
  return new AppError('not_found', `There is no project "${clip(text)}" in the repository "${repo.key}".`);
}
