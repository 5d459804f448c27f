/** The simple index as clients get it: pages (PEP 503) and JSON (PEP 691 and 700). */
import { encodePath } from '../../core/ids.ts';
import type { RenderedBody } from '../../lib/rendered.ts';
import { escapeXml } from '../../lib/xml-text.ts';
import type { Project, ProjectFile, ProjectList } from './project.ts';

export const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';
export const HTML_TYPE = 'application/vnd.pypi.simple.v1+html';
export const TEXT_HTML = 'text/html';

const API_VERSION = '1.4';
const META = { 'api-version': API_VERSION };

/** How the answer to a request names places. */
export interface Addresses {
  /** What comes before the path of a file. */
  readonly files: string;
  /** The address of the repository's index, for what has to be named whole. */
  readonly absolute: string;
}

/** The project as a page under a plain path; `base` is the address of the repository. */
export function renderProjectPage(project: Project, base: string): RenderedBody {
  return { bytes: projectHtml(project, { files: base, absolute: '' }), mediaType: 'text/html; charset=utf-8' };
}

export function renderRootPage(list: ProjectList, base: string): RenderedBody {
  return { bytes: rootHtml(list, (name) => `${base}/${name}/${name}.html`), mediaType: 'text/html; charset=utf-8' };
}

export function renderProject(project: Project, mediaType: string, addresses: Addresses): RenderedBody {
  if (mediaType === JSON_TYPE) return { bytes: projectJson(project, addresses), mediaType };
  return { bytes: projectHtml(project, addresses), mediaType: withCharset(mediaType) };
}

export function renderRoot(list: ProjectList, mediaType: string): RenderedBody {
  if (mediaType === JSON_TYPE) {
    const projects = list.names.map((name) => ({ name }));
    return { bytes: Buffer.from(JSON.stringify({ meta: META, projects })), mediaType };
  }
  return { bytes: rootHtml(list, (name) => `${name}/`), mediaType: withCharset(mediaType) };
}

function withCharset(mediaType: string): string {
  return mediaType === TEXT_HTML ? 'text/html; charset=utf-8' : mediaType;
}

function projectJson(project: Project, addresses: Addresses): Buffer {
  const files = project.files.map((file) => fileJson(project.name, file, addresses));
  const { name, versions, status } = project;
  return Buffer.from(
    JSON.stringify({ meta: META, name, ...(status && { 'project-status': status }), versions, files }),
  );
}

function fileJson(project: string, file: ProjectFile, addresses: Addresses): object {
  const { filename, hashes, size, uploadedAt, requiresPython, yanked, signed } = file;
  const metadata = metadataOf(file);
  const provenance = provenanceOf(project, file, addresses);
  return {
    filename,
    url: `${addresses.files}/${encodePath(file.path)}`,
    hashes,
    ...(requiresPython !== undefined && { 'requires-python': requiresPython }),
    ...(size !== undefined && { size }),
    ...(uploadedAt !== undefined && { 'upload-time': uploadedAt }),
    yanked: yanked === undefined ? false : yanked === '' ? true : yanked,
    'core-metadata': metadata,
    // Under the name of the specification ("dist-info-metadata") it would end pip before 23.1 (PEP 714).
    'data-dist-info-metadata': metadata,
    ...(signed !== undefined && { 'gpg-sig': signed }),
    ...(provenance !== undefined && { provenance }),
  };
}

function metadataOf({ metadata }: ProjectFile): boolean | { readonly sha256: string } {
  if (metadata === undefined) return false;
  return metadata === true ? true : { sha256: metadata };
}

/** Has to be a whole address (PEP 740), so a page under a plain path, which is for people, has none. */
function provenanceOf(
  project: string,
  { attested, version, filename }: ProjectFile,
  { absolute }: Addresses,
): string | undefined {
  if (!attested || absolute === '') return undefined;
  return `${absolute}/integrity/${[project, version ?? '-', filename].map(encodeURIComponent).join('/')}/provenance`;
}

function projectHtml(project: Project, addresses: Addresses): Buffer {
  const title = `Links for ${escapeXml(project.name)}`;
  const lines = [...head(title), ...statusMeta(project), `</head>\n<body>\n<h1>${title}</h1>`];
  for (const file of project.files) lines.push(`${anchor(project.name, file, addresses)}<br/>`);
  return Buffer.from(`${lines.join('\n')}\n</body>\n</html>\n`);
}

function statusMeta({ status }: Project): string[] {
  if (!status) return [];
  const meta = [`<meta name="pypi:project-status" content="${escapeXml(status.status)}">`];
  if (status.reason !== undefined) {
    meta.push(`<meta name="pypi:project-status-reason" content="${escapeXml(status.reason)}">`);
  }
  return meta;
}

function anchor(project: string, file: ProjectFile, addresses: Addresses): string {
  const { filename, hashes, requiresPython, yanked, metadata, signed } = file;
  const [algorithm] = ['sha256', 'sha512', 'sha384', 'sha224', 'sha1', 'md5'].filter((name) =>
    Object.hasOwn(hashes, name),
  );
  const fragment = algorithm === undefined ? '' : `#${algorithm}=${hashes[algorithm]}`;
  const attributes = [`href="${escapeXml(`${addresses.files}/${encodePath(file.path)}${fragment}`)}"`];
  const add = (name: string, value: string | undefined) => {
    if (value !== undefined) attributes.push(`${name}="${escapeXml(value)}"`);
  };
  const core = metadata === undefined ? undefined : metadata === true ? 'true' : `sha256=${metadata}`;
  add('data-requires-python', requiresPython);
  add('data-core-metadata', core);
  add('data-dist-info-metadata', core);
  add('data-yanked', yanked);
  add('data-gpg-sig', signed === undefined ? undefined : String(signed));
  add('data-provenance', provenanceOf(project, file, addresses));
  return `<a ${attributes.join(' ')}>${escapeXml(filename)}</a>`;
}

function rootHtml({ names }: ProjectList, hrefOf: (name: string) => string): Buffer {
  const lines = [...head('Simple index'), '</head>\n<body>'];
  for (const name of names) lines.push(`<a href="${escapeXml(hrefOf(name))}">${escapeXml(name)}</a><br/>`);
  return Buffer.from(`${lines.join('\n')}\n</body>\n</html>\n`);
}

function head(title: string): string[] {
  return [
    '<!DOCTYPE html>\n<html>\n<head>',
    `<meta name="pypi:repository-version" content="${API_VERSION}">`,
    `<title>${title}</title>`,
  ];
}
