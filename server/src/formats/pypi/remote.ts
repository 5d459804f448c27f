/** What upstreams of Python repositories are asked: pages of their index, and the files that those link to. */
import type { Digest, RepoPath } from '../../core/ids.ts';
import type { DocumentFetch, Fetch, Listed, RemoteFacts, RemoteRules } from '../../core/remote.ts';
import type { Wanted } from '../../core/repository.ts';
import { INTEGRITY_TYPE } from './attestations.ts';
import { distributionAt, distributionOf, METADATA_ENDING, PROVENANCE_ENDING } from './names.ts';
import { FOLDER, PROJECT, type Project } from './project.ts';
import { mediaTypeOf } from './release.ts';
import { HTML_TYPE, JSON_TYPE, TEXT_HTML } from './simple.ts';

const MAX_PROJECT_BYTES = 128 * 1024 * 1024;
const MAX_ROOT_BYTES = 256 * 1024 * 1024;
/** What an upstream said, beside the pages that are made of it. */
const UPSTREAM = '.upstream.html';
const ACCEPT = `${JSON_TYPE}, ${HTML_TYPE};q=0.2, ${TEXT_HTML};q=0.1`;

export const remoteRules: RemoteRules = {
  fetch(wanted) {
    return 'path' in wanted ? fileFetch(wanted) : undefined;
  },
};

/** The page of a project. */
export function projectFetch(name: string, remote: RemoteFacts): DocumentFetch {
  return {
    key: `simple/${name}`,
    path: `${FOLDER}/${name}/${UPSTREAM}` as RepoPath,
    package: name,
    ask: { path: '', link: indexUrl(remote, `${name}/`), headers: { accept: ACCEPT } },
    maxBytes: MAX_PROJECT_BYTES,
    mediaType: 'application/octet-stream',
  };
}

/** The list of all projects. */
export function rootFetch(remote: RemoteFacts): DocumentFetch {
  return {
    key: 'simple',
    path: `${FOLDER}/${UPSTREAM}` as RepoPath,
    ask: { path: '', link: indexUrl(remote, ''), headers: { accept: ACCEPT } },
    maxBytes: MAX_ROOT_BYTES,
    mediaType: 'application/octet-stream',
  };
}

/** Where the index lies: at a server of its own, or beside the files. */
function indexUrl({ url, settings }: RemoteFacts, path: string): URL {
  const registry = URL.parse(textOf(settings['pyPIRegistryUrl'])) ?? url;
  const suffix = textOf(settings['pyPIRepositorySuffix']) || 'simple';
  const base = new URL(registry);
  base.pathname = `${base.pathname.replace(/\/+$/, '')}/${suffix.replace(/^\/+|\/+$/g, '')}/${path}`;
  return base;
}

function textOf(setting: unknown): string {
  return typeof setting === 'string' ? setting.trim() : '';
}

/** A distribution or what lies beside it: the page of its project says where it is, and what it must be. */
function fileFetch({ path }: Wanted & { readonly path: RepoPath }): Fetch | undefined {
  const of = distributionOf(path) ?? path;
  const name = distributionAt(of);
  if (!name) return undefined;
  const ending = path.slice(of.length);
  return {
    key: path,
    path,
    package: name.project,
    ask: { path },
    mutable: false,
    mediaType: sidecarType(ending) ?? mediaTypeOf(name.filename),
    listed: {
      document: PROJECT,
      name: name.project,
      find: (project) => find(project as unknown as Project, of, ending),
    },
  };
}

function sidecarType(ending: string): string | undefined {
  if (ending === '') return undefined;
  return ending === PROVENANCE_ENDING ? INTEGRITY_TYPE : 'application/octet-stream';
}

function find({ files }: Project, path: RepoPath, ending: string): ReturnType<Listed['find']> {
  const file = files.find((each) => each.path === path);
  if (file?.link === undefined) return undefined;
  if (ending === '') return { link: new URL(file.link), ...digestOf(file.hashes['sha256']) };
  if (ending === PROVENANCE_ENDING) {
    return file.attestationLink === undefined ? undefined : { link: new URL(file.attestationLink) };
  }
  if (ending === METADATA_ENDING && file.metadata === undefined) return undefined;
  if (ending !== METADATA_ENDING && file.signed !== true) return undefined;
  const digest = ending === METADATA_ENDING && file.metadata !== true ? digestOf(file.metadata) : {};
  return { link: beside(file.link, ending), ...digest };
}

function beside(link: string, ending: string): URL {
  const url = new URL(link);
  url.pathname += ending;
  return url;
}

function digestOf(hex: string | undefined): { readonly digest?: Digest } {
  return hex === undefined ? {} : { digest: { algorithm: 'sha256', hex } };
}
