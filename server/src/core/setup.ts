/**
 * How people set their clients up for a repository, as data: what to write into which file and what to run, with places
 * left open for what only they know. Nothing here ever holds a secret.
 */
import type { Repository } from './repository.ts';

export const PURPOSES = ['sign-in', 'configure', 'install', 'publish'] as const;
export type Purpose = (typeof PURPOSES)[number];

export interface Snippet {
  readonly title: string;
  readonly language:
    | 'shell'
    | 'text'
    | 'ini'
    | 'json'
    | 'toml'
    | 'yaml'
    | 'xml'
    | 'properties'
    | 'groovy'
    | 'kotlin'
    | 'scala';
  /** The file it belongs in; without one it is to be run. */
  readonly file?: string;
  readonly code: string;
  /** What to know before it is used, in sentences. */
  readonly note?: string;
}

/** One client. Steps without snippets do not stand for anything and are left out of answers. */
export interface ClientSetup {
  readonly id: string;
  readonly name: string;
  readonly steps: Readonly<Partial<Record<Purpose, readonly Snippet[]>>>;
}

/** What of a repository its clients are told. */
export type SetUpRepository = Pick<Repository, 'key' | 'packageType'>;

/** Whom it is made for. */
export interface SetUpFor {
  /** Scheme, host and port by which the server was reached. */
  readonly origin: string;
  /** The name to sign in with. */
  readonly user: string;
}

/** A secret: nothing else than this ever stands in its place. */
export const SECRET = 'YOUR_TOKEN';
export const USER = 'YOUR_USER_NAME';

/** What is left open, and how to fill it in. */
export const PLACEHOLDERS: Readonly<Record<string, string>> = {
  [SECRET]:
    'An access token; where a user name stands beside it, a password does as well. Characters that mean something in an address have to be percent-encoded there.',
  [USER]: 'The name of your account.',
  YOUR_SCOPE: 'The scope of your packages, without the "@".',
  PACKAGE_NAME: 'The package, or the artifact.',
  PACKAGE_VERSION: 'The version of the package.',
  GROUP_ID: 'The group or organisation of the artifact.',
  IMAGE_NAME: 'The image, which may have slashes in it.',
  IMAGE_TAG: 'The tag of the image.',
  CHART_NAME: 'The chart.',
  CHART_VERSION: 'The version of the chart.',
  RELEASE_NAME: 'What the installed chart is to be called.',
  FOLDER_NAME: 'The folder in the repository, which may have slashes in it.',
  FILE_NAME: 'The file.',
  REGISTRY_HOST: 'A host name, with its port, of this server that stands for no other repository.',
  MIRRORED_REGISTRY: 'The registry that images are named after, such as "docker.io".',
};

/** The host with its port. */
export function hostOf(origin: string): string {
  return origin.replace(/^https?:\/\//, '');
}

/** The host alone. */
export function hostNameOf(origin: string): string {
  return hostOf(origin).replace(/:\d+$/, '');
}

/** Whether the server was reached without encryption, by a way that is not all on one machine. */
export function isOpenToOthers(origin: string): boolean {
  return isUnencrypted(origin) && !/^(localhost|127(\.\d{1,3}){3}|\[::1\])$/i.test(hostNameOf(origin));
}

export function isUnencrypted(origin: string): boolean {
  return origin.startsWith('http:');
}

/** Said with what makes a client accept that. */
export const UNENCRYPTED = 'Because this server was reached by plain HTTP; not needed with HTTPS.';

/** Something to be run. */
export function run(title: string, command: string, note?: string): Snippet {
  return { title, language: 'shell', code: `${command}\n`, ...(note !== undefined && { note }) };
}
