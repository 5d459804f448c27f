/** Rows of very many versions of an npm package, as if each had been published. */
import type { Database } from '../../src/db/database.ts';

const BATCH = 100;

/** Versions `0.1.0`, `0.1.1` and so on, like the version `0.0.0` that is there, and all of its bytes. */
export async function multiplyVersions(database: Database, name: string, count: number): Promise<void> {
  const one = await database.kysely
    .selectFrom('package_version')
    .innerJoin('node', 'node.id', 'package_version.node_id')
    .selectAll('node')
    .select('package_version.metadata')
    .where('package_version.name', '=', name)
    .executeTakeFirstOrThrow();
  const { id: _, metadata, ...node } = one;
  const made = { ...(JSON.parse(metadata) as Record<string, unknown>), tags: {} };
  for (let from = 0; from < count; from += BATCH) {
    const versions = Array.from({ length: BATCH }, (_, i) => versionAt(from + i));
    await database.transaction(async (tx) => {
      const nodes = versions.map((version) => ({ ...node, name: `${name}-${version}.tgz` }));
      const rows = await tx.insertInto('node').values(nodes).returning(['id', 'name']).execute();
      const releases = rows.map((row) => {
        const version = row.name.slice(name.length + 1, -4);
        const text = JSON.stringify({ ...made, version }).replaceAll('0.0.0', version);
        const { repo_id, created_at } = node;
        return { node_id: row.id, repo_id, name, version, metadata: text, created_at };
      });
      await tx.insertInto('package_version').values(releases).execute();
    });
  }
}

/** The version of this number. */
export function versionAt(n: number): string {
  return `0.${Math.floor(n / BATCH) + 1}.${n % BATCH}`;
}
