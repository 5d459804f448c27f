/** Reads what is put: POMs and plugins by their bytes, everything else by its path. */
import { readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import type { Incoming, Ingested } from '../../core/format.ts';
import { clip } from '../../core/ids.ts';
import { XmlProblem } from '../../lib/xml-reader.ts';
import { type Coordinates, parseMavenPath, releaseOf } from './paths.ts';
import { readPluginDescriptor } from './plugins.ts';
import { factsOf, POM_LIMITS, readPom, requireConsistent } from './pom.ts';
import type { RowMetadata } from './rows.ts';

/** What the file adds to the indexes. Throws `conflict` for a POM that is broken or lies where it does not belong. */
export async function ingest(file: Incoming): Promise<Ingested> {
  const at = parseMavenPath(file.path);
  if (!at) return ofOtherLayout(file);
  const row = (metadata: RowMetadata, isLead = false): Ingested => ({
    version: {
      package: `${at.group}:${at.artifact}`,
      version: isLead ? at.revision : rowName(at, file.path),
      metadata,
    },
  });
  if (isPom(at)) {
    const read = await readPomFile(file, at);
    return 'unindexed' in read ? { ...row({}, true), ...read } : row(read, true);
  }
  if (mayBePlugin(at)) {
    const plugin = await readPluginDescriptor(file.content);
    if (plugin) return row({ plugin: { ...plugin, own: true } });
  }
  return row({});
}

function isPom(at: Coordinates): boolean {
  return at.extension === 'pom' && at.classifier === undefined;
}

/** Opening every jar would cost those who deploy; what its name does not tell, the POM does. */
function mayBePlugin({ artifact, classifier, extension }: Coordinates): boolean {
  return classifier === undefined && extension === 'jar' && artifact.includes('plugin');
}

/** The POM leads its release; every other file has a name of its own in it. */
function rowName({ revision }: { readonly revision: string }, path: string): string {
  return `${revision}/${path.slice(path.lastIndexOf('/') + 1)}`;
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
    if (content.size > POM_LIMITS.maxBytes) throw new XmlProblem(`it is larger than ${POM_LIMITS.maxBytes} bytes`);
    const bytes = content.inline ?? (await readAll(await content.open(), { limit: POM_LIMITS.maxBytes, what: 'POM' }));
    const pom = await readPom(bytes);
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

/** Files of Ivy and sbt layouts belong to their package, but Maven finds nothing there. */
function ofOtherLayout({ path }: Incoming): Ingested {
  const release = releaseOf(path);
  if (!release) return {};
  return {
    version: { package: release.package, version: `${release.version}/${tailOf(path, 2)}`, metadata: {} },
  };
}

function tailOf(path: string, segments: number): string {
  return path.split('/').slice(-segments).join('/');
}
