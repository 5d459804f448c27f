import { randomBytes } from 'node:crypto';

/** The registry the tests speak to, as every client has to be told it. */
export interface Target {
  readonly url: URL;
  /** `host:port`, the part of an image's name that clients keep credentials for. */
  readonly registry: string;
  /** The repository's key, the first component of every image's name. */
  readonly repository: string;
  readonly username: string;
  readonly password: string;
}

let known: Target | undefined;

/** Answers the registry named by ENTREPOT_TEST_TARGET (`http://user:password@host:port/repository`). */
export function requireTarget(): Target {
  known ??= parseTarget(process.env['ENTREPOT_TEST_TARGET']);
  return known;
}

/** The registry that an address of this form names. */
export function parseTarget(text: string | undefined): Target {
  if (text === undefined) {
    throw new Error('ENTREPOT_TEST_TARGET is not set: run "make test-clients", or name a running registry.');
  }
  const url = new URL(text);
  return {
    url: new URL('/', `${url.protocol}//${url.host}`),
    registry: url.host,
    repository: url.pathname.replace(/^\/+|\/+$/g, ''),
    username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
  };
}

/** Makes names of this run unlike those of any other against the same registry. */
const run = process.env['ENTREPOT_TEST_RUN'] ?? randomBytes(3).toString('hex');

/** Answers an image's name inside the registry: what stands between `/v2/` and `/manifests/`. */
export function imagePath(name: string): string {
  return `${requireTarget().repository}/clients-${run}/${name}`;
}

/** Answers an image's full name without a tag, as people type it. */
export function imageName(name: string): string {
  return `${requireTarget().registry}/${imagePath(name)}`;
}
