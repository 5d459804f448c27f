/** Who is told that a file was fetched. */
import type { RepoKey, RepoPath } from './ids.ts';

export interface DownloadCounter {
  /** Takes note of a download; it must not wait, and may lose the last ones at a crash. */
  counted(repo: RepoKey, path: RepoPath, nodeId: number | undefined, by: string, at: number): void;
}
