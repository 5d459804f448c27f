/** The simple index as clients get it: pages (PEP 503) and JSON (PEP 691 and 700). */
import { encodePath } from '../../core/ids.ts';
import { Cutter } from '../../lib/cutter.ts';
import { Piece, type RenderedBody } from '../../lib/rendered.ts';
import { Spell } from '../../lib/spell.ts';
import { escapeXml } from '../../lib/xml-text.ts';
import type { Project, ProjectFile, ProjectList } from './project.ts';

export const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';
export const HTML_TYPE = 'application/vnd.pypi.simple.v1+html';
export const TEXT_HTML = 'text/html';

const API_VERSION = '1.4';
const HTML_END = '\n</body>\n</html>\n';
const META = { 'api-version': API_VERSION };

/** How the answer to a request names places. */
export interface Addresses {
  /** What comes before the path of a file. */
  readonly files: string;
  /** The address of the repository's index, for what has to be named whole. */
  readonly absolute: string;
}

/** The project as a page under a plain path; `base` is the address of the repository. */
export function renderProjectPage(project: Project, base: string): Promise<RenderedBody> {
  return renderProject(project, TEXT_HTML, { files: base, absolute: '' });
}

export function renderRootPage(list: ProjectList, base: string): Promise<RenderedBody> {
  return rootHtml(list, TEXT_HTML, base);
}

export async function renderProject(project: Project, mediaType: string, addresses: Addresses): Promise<RenderedBody> {
  const isJson = mediaType === JSON_TYPE;
  const spell = new Spell();
  const pieces = [new Piece(isJson ? jsonHead(project) : htmlHead(project))];
  const between = new Piece(isJson ? ',' : '\n');
  const render = (file: ProjectFile) =>
    isJson ? JSON.stringify(fileJson(project.name, file, addresses)) : `${anchor(project.name, file, addresses)}<br/>`;
  const variant = `${isJson}\n${project.name}\n${addresses.files}\n${addresses.absolute}`;
  for (const stretch of stretches.cut(project.files)) {
    if (pieces.length > 1) pieces.push(between);
    pieces.push(pieceOf(stretch, variant, () => stretch.files.map(render).join(isJson ? ',' : '\n')));
    if (spell.isOver) await spell.rest();
  }
  pieces.push(new Piece(isJson ? ']}' : HTML_END));
  return { pieces, mediaType: withCharset(mediaType) };
}

interface Stretch {
  readonly files: readonly ProjectFile[];
  /** As they were rendered lately, by the form and the addresses in it. */
  readonly pieces: Map<string, Piece>;
}

/** The attributes of a file, about. */
const FILE_BYTES = 400;
const MAX_VARIANTS = 8;

const stretches = new Cutter<ProjectFile, Stretch>({
  minBytes: 32 * 1024,
  maxBytes: 128 * 1024,
  sizeOf: ({ filename, path }) => FILE_BYTES + filename.length + path.length,
  nameOf: ({ filename }) => filename,
  make: (files) => ({ files, pieces: new Map() }),
  itemsOf: ({ files }) => files,
});

function pieceOf({ pieces }: Stretch, variant: string, render: () => string): Piece {
  let piece = pieces.get(variant);
  if (!piece) {
    piece = new Piece(render());
    // Clients choose the address under which they ask.
    if (pieces.size === MAX_VARIANTS) pieces.clear();
    pieces.set(variant, piece);
  }
  return piece;
}

/** Rendered together: a fraction of a millisecond. */
const NAMES = 1000;
/** A list of everything that is public has some thirty megabytes. */
const MAX_LISTS = 3;
/** Of lists that did not change, by what was rendered of them. */
const ofLists = new WeakMap<readonly string[], Map<string, readonly Piece[]>>();

export async function renderRoot(list: ProjectList, mediaType: string): Promise<RenderedBody> {
  if (mediaType !== JSON_TYPE) return rootHtml(list, mediaType, undefined);
  const pieces = await piecesOf(list, 'json', (name) => `{"name":${JSON.stringify(name)}}`, ',');
  return { pieces: [new Piece(`{"meta":${JSON.stringify(META)},"projects":[`), ...pieces, new Piece(']}')], mediaType };
}

/** With `base`, as a page under a plain path. */
async function rootHtml(list: ProjectList, mediaType: string, base: string | undefined): Promise<RenderedBody> {
  const hrefOf = (name: string) => (base === undefined ? `${name}/` : `${base}/${name}/${name}.html`);
  const render = (name: string) => `<a href="${escapeXml(hrefOf(name))}">${escapeXml(name)}</a><br/>`;
  const pieces = await piecesOf(list, `html\n${base ?? ''}`, render, '\n');
  const opening = new Piece(`${[...head('Simple index'), '</head>\n<body>'].join('\n')}\n`);
  return { pieces: [opening, ...pieces, new Piece(HTML_END)], mediaType: withCharset(mediaType) };
}

async function piecesOf(
  { names }: ProjectList,
  variant: string,
  render: (name: string) => string,
  between: string,
): Promise<readonly Piece[]> {
  const kept = ofLists.get(names) ?? new Map<string, readonly Piece[]>();
  ofLists.set(names, kept);
  const known = kept.get(variant);
  if (known) return known;
  const spell = new Spell();
  const pieces: Piece[] = [];
  for (let at = 0; at < names.length; at += NAMES) {
    const text = names
      .slice(at, at + NAMES)
      .map(render)
      .join(between);
    pieces.push(new Piece(at === 0 ? text : `${between}${text}`));
    if (spell.isOver) await spell.rest();
  }
  if (kept.size === MAX_LISTS) kept.clear();
  kept.set(variant, pieces);
  return pieces;
}

function withCharset(mediaType: string): string {
  return mediaType === TEXT_HTML ? 'text/html; charset=utf-8' : mediaType;
}

function jsonHead({ name, versions, status }: Project): string {
  const said = JSON.stringify({ meta: META, name, ...(status && { 'project-status': status }), versions });
  return `${said.slice(0, -1)},"files":[`;
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

function htmlHead(project: Project): string {
  const title = `Links for ${escapeXml(project.name)}`;
  const lines = [...head(title), ...statusMeta(project), `</head>\n<body>\n<h1>${title}</h1>`];
  return `${lines.join('\n')}\n`;
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

function head(title: string): string[] {
  return [
    '<!DOCTYPE html>\n<html>\n<head>',
    `<meta name="pypi:repository-version" content="${API_VERSION}">`,
    `<title>${title}</title>`,
  ];
}
