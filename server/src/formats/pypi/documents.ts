/** The documents of the format: how they are made of rows, read from an upstream's, merged and rendered. */
import type { DocumentKind } from '../../core/document.ts';
import type { RepoPath } from '../../core/ids.ts';
import { Spell } from '../../lib/spell.ts';
import { buildList, buildProject } from './local-documents.ts';
import { FOLDER, mergeNames, mergeProjects, type Project, type ProjectList, versionsOf } from './project.ts';
import { projectFetch, rootFetch } from './remote.ts';
import { renderProjectPage, renderRootPage } from './simple.ts';
import { readProject, readProjectList } from './upstream-reading.ts';

export const projectKind: DocumentKind<Project> = {
  package: (name) => name,
  path: (name) => name as RepoPath,
  build: buildProject,
  fetch: projectFetch,
  parse: (bytes, { name, base }) => readProject(bytes, name, base),
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
  build: (source, _name, previous) => buildList(source, previous),
  fetch: (_name, remote) => rootFetch(remote),
  parse: (bytes) => readProjectList(bytes),
  async merge([first, ...others]) {
    let names = first?.names ?? [];
    for (const other of others) names = await mergeNames(names, other.names);
    return { names };
  },
  async filter(list, accepts) {
    const spell = new Spell();
    const names: string[] = [];
    for (const name of list.names) {
      if (accepts(name as RepoPath)) names.push(name);
      if (spell.isOver) await spell.rest();
    }
    return names.length === list.names.length ? list : { names };
  },
  render: (list, { base }) => renderRootPage(list, `${base}/${FOLDER}`),
};
