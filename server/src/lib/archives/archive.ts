/** Archives of strangers, read within limits: nothing here trusts what an archive says of itself. */
import { type ArchiveEntry, type ArchiveLimits, ArchiveProblem, Budget, type ByteSource } from './budget.ts';
import { readTar } from './tar.ts';
import { readZip } from './zip.ts';

export type ArchiveKind = 'zip' | 'tar' | 'tar.gz';

/** What the name of a file says about the kind of archive it is; undefined if it is none that can be read. */
export function archiveKindOf(name: string): ArchiveKind | undefined {
  const lower = name.toLowerCase();
  if (/\.(zip|jar|war|ear|sar|har|hpi|jpi|whl|nupkg|aar|apk|egg|conda)$/.test(lower)) return 'zip';
  if (/\.(tar\.gz|tgz|gem\.tgz|crate)$/.test(lower)) return 'tar.gz';
  return lower.endsWith('.tar') ? 'tar' : undefined;
}

/** The entries in their order. Entries whose bytes are not read are passed over. */
export async function* readArchive(
  kind: ArchiveKind,
  source: ByteSource,
  limits: ArchiveLimits,
): AsyncGenerator<ArchiveEntry> {
  const budget = new Budget(source.size, limits);
  let count = 0;
  for await (const entry of kind === 'zip' ? readZip(source, budget) : readTar(source, budget, kind === 'tar.gz')) {
    count += 1;
    if (count > limits.maxEntries) throw new ArchiveProblem(`it has more than ${limits.maxEntries} entries`);
    // Reading from memory never waits, so the others have to be let in.
    if (count % YIELD_EVERY === 0) await new Promise(setImmediate);
    yield entry;
  }
}

const YIELD_EVERY = 200;
