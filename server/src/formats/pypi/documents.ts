/** The documents of the format: how they are made of rows, read from an upstream's, merged and rendered. */
import type { DocumentKind, DocumentSource } from '../../core/document.ts';
import { type RepoPath, splitPath } from '../../core/ids.ts';
import type { PackageVersion } from '../../core/repository.ts';
import { homeOf } from './names.ts';
import {
  FOLDER,
  mergeProjects,
  type Project,
  type ProjectFile,
  type ProjectList,
  projectOf,
  versionsOf,
} from './project.ts';
import type { ReleaseFile } from './release.ts';
import { projectFetch, rootFetch } from './remote.ts';
import { renderProjectPage, renderRootPage } from './simple.ts';
import { parseProject, parseProjectList } from './upstream-pages.ts';

export const projectKind: DocumentKind<Project> = {
  package: (name) => name,
  path: (name) => name as RepoPath,
  async build(source, name) {
    return projectOf(name, await filesOf(source, name));
  },
  fetch: projectFetch,
  parse: (bytes, { name, base }) => parseProject(bytes, name, base),
  merge: mergeProjects,
  filter(project, accepts) {
    const files = project.files.filter(({ path }) => accepts(path));
    if (files.length === 0) return undefined;
    // Versions without a file would tell of files that may not be seen.
    return { ...project, files, versions: versionsOf(files) };
  },
  render: (project, { base }) => renderProjectPage(project, base),
};

export const rootKind: DocumentKind<ProjectList> = {
  package: () => undefined,
  path: () => `${FOLDER}/simple.html` as RepoPath,
  async build(source) {
    return { names: await Array.fromAsync(source.packages()) };
  },
  fetch: (_name, remote) => rootFetch(remote),
  parse: (bytes) => parseProjectList(bytes),
  merge(lists) {
    return { names: [...new Set(lists.flatMap(({ names }) => names))].sort() };
  },
  filter({ names }, accepts) {
    return { names: names.filter((name) => accepts(name as RepoPath)) };
  },
  render: (list, { base }) => renderRootPage(list, `${base}/${FOLDER}`),
};

/** One file for each name: what was put by plain path may lie in several places. */
async function filesOf(source: DocumentSource, project: string): Promise<ProjectFile[]> {
  const files = new Map<string, ProjectFile>();
  for await (const row of source.versions(project)) {
    const file = fileOf(row);
    const { filename, version = '', path } = file;
    if (!files.has(filename) || path === homeOf({ project, version, filename })) files.set(filename, file);
  }
  return [...files.values()];
}

function fileOf(row: PackageVersion): ProjectFile {
  const release = row.metadata as ReleaseFile;
  const { requiresPython, yanked, metadata, signed, attested, summary, md5 } = release;
  return {
    filename: splitPath(row.path).name,
    path: row.path,
    version: release.version,
    hashes: { sha256: row.sha256, ...(md5 !== undefined && { md5 }) },
    size: row.size,
    uploadedAt: row.createdAt.toISOString(),
    ...(requiresPython !== undefined && { requiresPython }),
    ...(yanked !== undefined && { yanked }),
    ...(metadata !== undefined && { metadata }),
    ...(signed && { signed }),
    ...(attested && { attested }),
    ...(summary !== undefined && { summary }),
  };
}
