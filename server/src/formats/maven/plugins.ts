/** Plugins: the prefixes by which their users call them. */
import type { Content } from '../../core/repository.ts';
import { readArchive } from '../../lib/archives/archive.ts';
import { ArchiveProblem } from '../../lib/archives/budget.ts';
import { readXml, textOf, type XmlLimits } from '../../lib/xml-reader.ts';

export interface PluginFacts {
  readonly prefix: string;
  readonly name?: string;
}

const DESCRIPTOR = 'META-INF/maven/plugin.xml';
const LIMITS: XmlLimits = { maxBytes: 2 * 1024 * 1024, maxDepth: 50, maxNodes: 100_000 };
/** Tools that build plugins put their descriptor near the beginning. */
const ARCHIVE_LIMITS = { maxEntries: 20_000, maxTotalBytes: LIMITS.maxBytes, maxRatio: 1000 };
const PREFIX = /^[\w.-]{1,100}$/;

/** The prefix of a plugin that names none itself. */
export function prefixOf(artifact: string): string {
  if (artifact === 'maven-plugin-plugin') return 'plugin';
  return (
    artifact
      .replace(/^maven-(.+)-plugin$/, '$1')
      .replace(/-?maven-?/, '')
      .replace(/-?plugin-?/, '') || artifact
  );
}

/**
 * What the jar of a plugin says of itself; undefined for any other jar. Throws an `ArchiveProblem` or an `XmlProblem`
 * for what cannot be read.
 */
export async function readPluginDescriptor(content: Content): Promise<PluginFacts | undefined> {
  for await (const entry of readArchive('zip', content, ARCHIVE_LIMITS)) {
    if (entry.name !== DESCRIPTOR || entry.type !== 'file') continue;
    if (entry.size > LIMITS.maxBytes) throw new ArchiveProblem(`${DESCRIPTOR} is larger than ${LIMITS.maxBytes} bytes`);
    const root = await readXml(Buffer.concat(await Array.fromAsync(await entry.open())), LIMITS);
    const [prefix, name] = [textOf(root, 'goalPrefix'), textOf(root, 'name')];
    if (prefix === undefined || !PREFIX.test(prefix)) return undefined;
    return { prefix, ...(name !== undefined && { name: name.slice(0, 300) }) };
  }
  return undefined;
}
