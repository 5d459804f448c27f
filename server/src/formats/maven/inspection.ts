/** What a remote repository can be told to refuse of its upstream. */
import { AppError, isAppError } from '../../core/errors.ts';
import { clip, type RepoPath } from '../../core/ids.ts';
import type { Fetch } from '../../core/remote.ts';
import type { Content } from '../../core/repository.ts';
import { readArchive } from '../../lib/archives/archive.ts';
import { ArchiveProblem } from '../../lib/archives/budget.ts';
import { XmlProblem } from '../../lib/xml-reader.ts';
import { isPom, parseMavenPath } from './paths.ts';
import { readPomOf, requireConsistent } from './pom.ts';

const JAR = /\.(jar|war|ear)$/;
/** Only its beginning is looked at. */
const LIMITS = { maxEntries: 1, maxTotalBytes: 1, maxRatio: 1 };

/** How a file is looked at before it is kept; undefined where the settings ask for nothing. */
export function inspectionOf(path: RepoPath, settings: Readonly<Record<string, unknown>>): Fetch['inspect'] {
  if (settings['rejectInvalidJars'] === true && JAR.test(path)) return (content) => requireArchive(path, content);
  const at = settings['suppressPomConsistencyChecks'] === false ? parseMavenPath(path) : undefined;
  if (!at || !isPom(at)) return undefined;
  return async (content) => {
    try {
      requireConsistent(await readPomOf(content), path, at);
    } catch (error) {
      if (isAppError(error, 'conflict')) throw new AppError('invalid', error.message);
      // Old POMs that everybody uses name entities that nothing declares, which Maven reads past.
      if (!(error instanceof XmlProblem)) throw error;
    }
  };
}

async function requireArchive(path: RepoPath, content: Content): Promise<void> {
  try {
    const entries = readArchive('zip', content, LIMITS);
    await entries.next();
    await entries.return(undefined);
  } catch (error) {
    if (!(error instanceof ArchiveProblem)) throw error;
    throw new AppError(
      'invalid',
      `"${clip(path, 300)}" is no archive: ${error.message}. An administrator can have it taken nevertheless, by the setting "rejectInvalidJars".`,
    );
  }
}
