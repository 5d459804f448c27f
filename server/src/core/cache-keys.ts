/** What a remote repository holds of its upstream is a repository of its own to clients: `<key>-cache`. */
import type { RepoKey } from './ids.ts';

const SUFFIX = '-cache';

/** The key under which what the remote repository holds is found. */
export function cacheKeyOf(remote: RepoKey): RepoKey {
  return `${remote}${SUFFIX}` as RepoKey;
}

/** The key of the remote repository whose cache would have this key; undefined where it is no such key. */
export function remoteKeyOf(key: string): RepoKey | undefined {
  return key.endsWith(SUFFIX) && key.length > SUFFIX.length ? (key.slice(0, -SUFFIX.length) as RepoKey) : undefined;
}
