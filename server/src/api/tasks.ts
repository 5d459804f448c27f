/** Work in the background: what runs and waits, and what an administrator can have done now. */
import { hostname } from 'node:os';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import type { Database } from '../db/database.ts';
import { type JobSummary, listJobs } from '../db/jobs.ts';
import { listRepositories } from '../db/repositories.ts';
import { listRunningOperations, type TreeOperation } from '../db/tree-operations.ts';
import { READ, type Route, route } from './route.ts';

export interface TaskDeps {
  readonly database: Database;
  /** Has bytes that nothing names reclaimed now. */
  sweepNow(): Promise<void>;
  /** Has folders that were left empty removed now. */
  pruneNow(): Promise<void>;
}

const STORAGE = 'artifactory/api/system/storage';
const SWEEP = 'sweep';

export function taskRoutes(deps: TaskDeps): readonly Route[] {
  return [
    route({
      methods: READ,
      pattern: 'artifactory/api/tasks',
      right: 'admin',
      handle: async () => ({ status: 200, json: { tasks: await listTasks(deps.database) } }),
    }),
    route({
      methods: ['POST'],
      pattern: `${STORAGE}/gc`,
      right: 'admin',
      async handle(): Promise<Reply> {
        await deps.sweepNow();
        return { status: 200, json: { info: 'Garbage collection is scheduled to run now' } };
      },
    }),
    ...['prune', 'prune/start'].map((pattern) =>
      route({
        methods: ['POST'],
        pattern: `${STORAGE}/${pattern}`,
        right: 'admin',
        handle: () => startPrune(deps),
      }),
    ),
    route({
      methods: ['POST'],
      pattern: `${STORAGE}/prune/stop`,
      right: 'admin',
      async handle(): Promise<Reply> {
        throw new AppError('precondition_failed', 'No prune is running that could be stopped: it ends by itself.');
      },
    }),
    route({
      methods: READ,
      pattern: `${STORAGE}/prune/status`,
      right: 'admin',
      handle: () => pruneStatus(deps.database),
    }),
  ];
}

/** What nothing names goes with the sweep; folders that are left empty with the pruning. */
async function startPrune(deps: TaskDeps): Promise<Reply> {
  if (await runningSweep(deps.database)) {
    throw new AppError('precondition_failed', 'Unreferenced binaries are being pruned already.');
  }
  await deps.sweepNow();
  await deps.pruneNow();
  return { status: 202, json: { info: 'Pruning of unreferenced data is scheduled to run now' } };
}

async function pruneStatus(database: Database): Promise<Reply> {
  const job = await runningSweep(database);
  if (!job) throw new AppError('precondition_failed', 'No prune is running.');
  return { status: 200, json: { status: 'running', dryRun: false, timing: { startedAt: job.createdAt } } };
}

async function runningSweep(database: Database): Promise<JobSummary | undefined> {
  const jobs = await database.read((db) => listJobs(db));
  return jobs.find(({ name, state }) => name === SWEEP && state === 'running');
}

const STATES = { waiting: 'scheduled', running: 'running', dead: 'stopped' } as const;
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  sweep: 'Reclaims bytes that nothing names',
  upkeep: 'Removes expired tokens and old failures',
  checksums: 'Computes checksums that nobody asked for yet',
  'prune-empty-folders': 'Removes folders that were left empty',
  'clean-trash': 'Deletes what has been in the trash can long enough',
};

async function listTasks(database: Database) {
  const [jobs, operations, repositories] = await database.read(async (db) => [
    await listJobs(db),
    await listRunningOperations(db),
    await listRepositories(db),
  ]);
  const keys = new Map<number, string>(repositories.map(({ id, key }) => [id, key]));
  return jobs.map((job) => ({
    id: String(job.id),
    type: job.name,
    state: STATES[job.state],
    description: describeJob(job, operations, keys),
    nodeId: hostname(),
  }));
}

function describeJob(job: JobSummary, operations: readonly TreeOperation[], keys: ReadonlyMap<number, string>): string {
  const { id } = JSON.parse(job.payload) as { readonly id?: number };
  const operation = job.name === 'tree-operation' ? operations.find((each) => each.id === id) : undefined;
  if (!operation) return DESCRIPTIONS[job.name] ?? job.name;
  const verb = { copy: 'Copies', move: 'Moves', delete: 'Deletes' }[operation.kind];
  const path = `${keys.get(operation.repoId) ?? ''}/${operation.path}`;
  return `${verb} "${clip(path, 300)}" for ${operation.createdBy}: ${operation.items} items done`;
}
