/** Reads what is put: POMs and plugins by their bytes, everything else by its path. */
import { AppError } from '../../core/errors.ts';
import type { Incoming, Ingested } from '../../core/format.ts';
import { clip } from '../../core/ids.ts';
import { ArchiveProblem } from '../../lib/archives/budget.ts';
import { XmlProblem } from '../../lib/xml-reader.ts';
import { type Coordinates, isPom, parseMavenPath, rowOf } from './paths.ts';
import { readPluginDescriptor } from './plugins.ts';
import { factsOf, readPomOf, requireConsistent } from './pom.ts';
import type { RowMetadata } from './rows.ts';

/** What the file adds to the indexes. Throws `conflict` for a POM that is broken or lies where it does not belong. */
export async function ingest(file: Incoming): Promise<Ingested> {
  const row = rowOf(file.path);
  if (!row) return {};
  const version = (metadata: RowMetadata): Ingested => ({ version: { ...row, metadata } });
  const at = parseMavenPath(file.path);
  // Files of Ivy and sbt layouts belong to their package, but Maven finds nothing there.
  if (!at) return version({});
  if (isPom(at)) {
    const read = await readPomFile(file, at);
    return 'unindexed' in read ? { ...version({}), ...read } : version(read);
  }
  if (!mayBePlugin(at)) return version({});
  try {
    const plugin = await readPluginDescriptor(file.content);
    return version(plugin ? { plugin: { ...plugin, own: true } } : {});
  } catch (error) {
    if (!(error instanceof ArchiveProblem) && !(error instanceof XmlProblem)) throw error;
    return { ...version({}), unindexed: `The jar was not looked into for the prefix of a plugin: ${error.message}.` };
  }
}

/** Opening every jar would cost those who deploy; what its name does not tell, the POM does. */
function mayBePlugin({ artifact, classifier, extension }: Coordinates): boolean {
  return classifier === undefined && extension === 'jar' && artifact.includes('plugin');
}

/** Where nobody said otherwise, only what is put into Maven repositories is checked. */
function checksPoms({ settings, packageType, rclass }: Incoming): boolean {
  if (rclass === 'remote') return false;
  const isSuppressed = settings['suppressPomConsistencyChecks'] ?? packageType !== 'maven';
  return isSuppressed !== true;
}

async function readPomFile(file: Incoming, at: Coordinates): Promise<RowMetadata | { readonly unindexed: string }> {
  const { path, content } = file;
  const isChecked = checksPoms(file);
  try {
    const pom = await readPomOf(content);
    if (isChecked) requireConsistent(pom, path, at);
    const facts = factsOf(pom);
    if (facts.packaging !== 'maven-plugin') return { pom: facts };
    const { goalPrefix, name } = facts;
    return {
      pom: facts,
      plugin: { ...(goalPrefix !== undefined && { prefix: goalPrefix }), ...(name !== undefined && { name }) },
    };
  } catch (error) {
    if (!(error instanceof XmlProblem)) throw error;
    if (!isChecked) return { unindexed: `The POM was not read: ${error.message}.` };
    throw new AppError(
      'conflict',
      `The POM "${clip(path, 300)}" cannot be read: ${clip(error.message, 300)}. Put a correct POM; an administrator can turn this check off by the setting "suppressPomConsistencyChecks".`,
      {},
      { cause: error },
    );
  }
}
