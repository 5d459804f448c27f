/** Files in caches that no upstream was asked for. */
import assert from 'node:assert/strict';
import { eventually } from '../../support/eventually.ts';
import type { TestApp } from '../../support/test-app.ts';
import { expectStatus, sendJson } from '../api/api-world.ts';

const ALL = '/artifactory/api/repositories';

/** Has a remote repository hold files as if they had come from its upstream. */
export async function hold(app: TestApp, remote: string, files: Readonly<Record<string, string>>): Promise<void> {
  const staging = `${remote}-staging`;
  await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/${staging}`, { rclass: 'local', packageType: 'generic' }), 200);
  for (const [path, body] of Object.entries(files)) {
    await expectStatus(app.admin.request('PUT', `/artifactory/${staging}/${path}`, { body }), 201);
  }
  await handOver(app, staging, remote);
}

/** Has one repository hold what another holds, which is deleted. */
export async function handOver(app: TestApp, from: string, to: string): Promise<void> {
  const database = await app.openDatabase();
  try {
    await database.transaction(async (tx) => {
      const idOf = async (key: string) =>
        (await tx.selectFrom('repository').select('id').where('key', '=', key).executeTakeFirstOrThrow()).id;
      const ids = { from: await idOf(from), to: await idOf(to) };
      for (const table of ['node', 'package_version'] as const) {
        await tx.updateTable(table).set({ repo_id: ids.to }).where('repo_id', '=', ids.from).execute();
      }
    });
  } finally {
    await database.close();
  }
  await expectStatus(app.admin.request('DELETE', `${ALL}/${from}`), 200);
}

/** Waits until downloads of files of these names are counted: one that is counted later would be a recent one. */
export async function downloadsCounted({ core }: TestApp, names: readonly string[]): Promise<void> {
  await eventually(async () => {
    await core.downloads.flush();
    const counted = await core.database.read((db) =>
      db
        .selectFrom('statistic')
        .innerJoin('node', 'node.id', 'statistic.node_id')
        .select('node.name')
        .where('node.name', 'in', names)
        .execute(),
    );
    assert.equal(counted.length, names.length);
  });
}
