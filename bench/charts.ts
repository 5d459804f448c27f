import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { sql } from 'kysely';
import type { Database } from '../server/src/db/database.ts';
import { tarOf } from '../server/test/support/archives.ts';

/** What a chart of a public index says of itself, at its usual length. */
export type ChartFields = Readonly<Record<string, unknown>> & { readonly name: string; readonly version: string };

export type ChartCount = { readonly prefix: string; readonly names: number; readonly versions: number };

const batch = 200;

export function chartFields(name: string, version: string): ChartFields {
  return {
    apiVersion: 'v2',
    name,
    version,
    appVersion: `${version}-alpine`,
    description: `${name} keeps what an application needs in one place, and starts it where it is wanted on a cluster.`,
    type: 'application',
    kubeVersion: '>=1.24.0-0',
    home: `https://charts.example.org/${name}`,
    icon: `https://charts.example.org/${name}/stack/img/${name}-220x234.png`,
    keywords: [name, 'http', 'server', 'cluster', 'infrastructure'],
    maintainers: [
      { name: 'The team of the platform', email: 'platform@example.org', url: 'https://example.org/platform' },
    ],
    sources: [`https://git.example.org/containers/${name}`, `https://git.example.org/charts/${name}`],
    annotations: {
      category: 'Infrastructure',
      licenses: 'Apache-2.0',
      images: `registry.example.org/${name}:${version}`,
    },
    dependencies: [
      { name: 'common', version: '2.x.x', repository: 'https://charts.example.org/common', tags: ['infrastructure'] },
    ],
  };
}

export function chartName({ prefix }: Pick<ChartCount, 'prefix'>, number: number): string {
  return `${prefix}-${String(number).padStart(5, '0')}`;
}

export function chartVersion(number: number): string {
  return `1.${number}.0`;
}

/** A chart archive as it is published. */
export async function chartArchive(name: string, version: string): Promise<Buffer> {
  return gzipSync(await tarOf({ [`${name}/Chart.yaml`]: JSON.stringify(chartFields(name, version)) }));
}

/** The index of an upstream with as many charts, in the form that its tools write. */
export function upstreamIndex(count: ChartCount): Buffer {
  const { names, versions } = count;
  const lines = ['apiVersion: v1', 'entries:'];
  for (let n = 0; n < names; n++) {
    const name = chartName(count, n);
    lines.push(`  ${name}:`);
    for (let v = versions - 1; v >= 0; v--) {
      const fields = chartFields(name, chartVersion(v));
      const [first, ...rest] = yamlLines(fields);
      lines.push(`  - ${first}`, ...rest.map((line) => `    ${line}`));
      lines.push(`    created: "2024-01-01T00:00:00.000000000Z"`, `    digest: ${digestOf(name, v)}`);
      lines.push('    urls:', `    - ${name}-${fields.version}.tgz`);
    }
  }
  lines.push('generated: "2024-01-01T00:00:00.000000000Z"', '');
  return Buffer.from(lines.join('\n'));
}

function yamlLines(fields: ChartFields): string[] {
  return Object.entries(fields).flatMap(([key, value]) => {
    if (Array.isArray(value)) return [`${key}:`, ...value.map((item: unknown) => `- ${JSON.stringify(item)}`)];
    return [`${key}: ${JSON.stringify(value)}`];
  });
}

function digestOf(name: string, version: number): string {
  return createHash('sha256').update(`${name} ${version}`).digest('hex');
}

/** Enters as many charts into a stopped server's local repository as if they had been published. */
export async function fillCharts(database: Database, key: string, count: ChartCount): Promise<void> {
  const { names, versions } = count;
  const db = database.kysely;
  const { id: repoId } = await db
    .selectFrom('repository')
    .select('id')
    .where('key', '=', key)
    .executeTakeFirstOrThrow();
  const at = Date.parse('2024-01-01');
  for (let first = 0; first < names * versions; first += batch) {
    const charts = Array.from({ length: Math.min(batch, names * versions - first) }, (_, i) => {
      const [name, v] = [chartName(count, Math.floor((first + i) / versions)), (first + i) % versions];
      return { name, version: chartVersion(v), sha256: digestOf(name, v) };
    });
    await database.transaction(async (tx) => {
      const blobs = charts.map(({ name, version, sha256 }) => ({
        sha256,
        sha1: null,
        md5: null,
        size: 1000,
        store_key: `bench-${name}-${version}`,
        created_at: at,
      }));
      await tx.insertInto('blob').values(blobs).execute();
      const nodes = charts.map(({ name, version, sha256 }) => ({
        repo_id: repoId,
        parent: '',
        name: `${name}-${version}.tgz`,
        folder: 0,
        sha256,
        size: 1000,
        media_type: 'application/gzip',
        package: name,
        etag: null,
        created_at: at,
        created_by: 'admin',
        modified_at: at,
        modified_by: 'admin',
      }));
      const rows = await tx.insertInto('node').values(nodes).returning(['id', 'name']).execute();
      const ids = new Map(rows.map(({ id, name }) => [name, id]));
      const releases = charts.map(({ name, version }) => ({
        node_id: ids.get(`${name}-${version}.tgz`) ?? 0,
        repo_id: repoId,
        name,
        version,
        metadata: JSON.stringify({ version, chart: chartFields(name, version) }),
        created_at: at,
      }));
      await tx.insertInto('package_version').values(releases).execute();
    });
  }
  await sql`analyze`.execute(db);
}
