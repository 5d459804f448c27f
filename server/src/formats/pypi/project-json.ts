/** The JSON of a project, as tools read it that want more than the simple index tells. */
import { AppError } from '../../core/errors.ts';
import { clip, encodePath } from '../../core/ids.ts';
import type { Links, ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import { readMetadataOf } from './files.ts';
import { requireProject } from './index-pages.ts';
import { type CoreMetadata, fieldOf, fieldsOf, parseMetadata } from './metadata.ts';
import { parseFilename } from './names.ts';
import type { Project, ProjectFile } from './project.ts';
import { isPrerelease, isSameVersion, parseVersion } from './versions.ts';

/** `pypi/{project}/json` and `pypi/{project}/{version}/json`. */
export async function getProjectJson(request: ProtocolRequest, { repo, links }: ProtocolContext): Promise<Reply> {
  const { project: name = '', version: asked } = request.params;
  const project = await requireProject(repo, name);
  const version = asked === undefined ? newestOf(project) : project.versions.find((each) => isSameVersion(each, asked));
  if (version === undefined) {
    throw new AppError('not_found', `There is no version "${clip(asked ?? '')}" of "${project.name}".`);
  }
  const files = project.files.filter((file) => file.version === version);
  const lead = files.find(({ metadata }) => metadata !== undefined) ?? files[0];
  const bytes = lead && (await readMetadataOf(repo, lead));
  const metadata = bytes && parseMetadata(bytes);
  const urls = files.map((file) => urlOf(file, links));
  const releases =
    asked === undefined
      ? Object.fromEntries(
          project.versions.map((each) => [
            each,
            project.files.filter((file) => file.version === each).map((file) => urlOf(file, links)),
          ]),
        )
      : undefined;
  const info = infoOf(project, version, { files, metadata, links });
  return { status: 200, json: { info, ...(releases && { releases }), urls, vulnerabilities: [], last_serial: 0 } };
}

/** The newest release that is neither yanked nor a pre-release, if there is one. */
export function newestOf({ versions, files }: Project): string | undefined {
  const yanked = (version: string) => files.every((file) => file.version !== version || file.yanked !== undefined);
  const stable = (version: string) => {
    const parsed = parseVersion(version);
    return parsed !== undefined && !isPrerelease(parsed);
  };
  return (
    versions.findLast((version) => stable(version) && !yanked(version)) ??
    versions.findLast((version) => !yanked(version)) ??
    versions.at(-1)
  );
}

interface Release {
  readonly files: readonly ProjectFile[];
  readonly metadata: CoreMetadata | undefined;
  readonly links: Links;
}

function infoOf(project: Project, version: string, { files, metadata, links }: Release): object {
  const text = (name: string) => (metadata && fieldOf(metadata, name)) ?? null;
  const list = (name: string) => (metadata ? fieldsOf(metadata, name) : []);
  const requires = list('requires-dist');
  const extras = list('provides-extra');
  const yanked = files.find((file) => file.yanked !== undefined)?.yanked;
  const home = `${links.origin}${links.mount}/simple/${project.name}/`;
  const urls = list('project-url').map((line) => {
    const comma = line.indexOf(',');
    return [line.slice(0, Math.max(comma, 0)).trim(), line.slice(comma + 1).trim()];
  });
  return {
    name: text('name') ?? project.name,
    version,
    summary: text('summary') ?? files.find((file) => file.summary !== undefined)?.summary ?? null,
    description: metadata?.description ?? '',
    description_content_type: text('description-content-type'),
    author: text('author'),
    author_email: text('author-email'),
    maintainer: text('maintainer'),
    maintainer_email: text('maintainer-email'),
    license: text('license'),
    license_expression: text('license-expression'),
    license_files: list('license-file'),
    keywords: text('keywords'),
    classifiers: list('classifier'),
    platform: text('platform'),
    home_page: text('home-page'),
    download_url: text('download-url'),
    project_urls: urls.length === 0 ? null : Object.fromEntries(urls),
    project_url: home,
    package_url: home,
    release_url: home,
    requires_dist: requires.length === 0 ? null : requires,
    requires_python: text('requires-python') ?? files[0]?.requiresPython ?? null,
    provides_extra: extras.length === 0 ? null : extras,
    dynamic: list('dynamic'),
    yanked: yanked !== undefined,
    yanked_reason: yanked === '' ? null : (yanked ?? null),
  };
}

function urlOf(file: ProjectFile, links: Links): object {
  const { filename, hashes, size, uploadedAt, requiresPython, yanked } = file;
  const kind = parseFilename(filename)?.kind;
  return {
    filename,
    url: `${links.origin}${links.mount}/packages/${encodePath(file.path)}`,
    digests: hashes,
    md5_digest: hashes['md5'] ?? null,
    size: size ?? null,
    packagetype: kind === 'wheel' ? 'bdist_wheel' : kind === 'egg' ? 'bdist_egg' : 'sdist',
    python_version: parseFilename(filename)?.python ?? 'source',
    requires_python: requiresPython ?? null,
    has_sig: file.signed ?? false,
    comment_text: '',
    upload_time: uploadedAt?.replace(/(\.\d+)?Z$/, '') ?? null,
    upload_time_iso_8601: uploadedAt ?? null,
    yanked: yanked !== undefined,
    yanked_reason: yanked === '' ? null : (yanked ?? null),
  };
}
