/** `entrepot check`: compares the rows with the store. */
import type { Command } from 'commander';
import { type CheckSummary, checkStored, type Problem } from '../blobs/check.ts';
import { listPathsOf } from '../db/integrity.ts';
import type { Core } from '../state.ts';
import { parseSeconds } from './durations.ts';
import { say } from './output.ts';
import { withCore } from './with-core.ts';

interface Options {
  readonly deep?: boolean;
  readonly repairPlan?: boolean;
  readonly removeOrphans?: boolean;
  readonly safeAge: string;
}

const PATHS_SHOWN = 20;

export function addCheck(program: Command): void {
  program
    .command('check')
    .description('Compare what the database says with what the store holds. Ends with exit code 1 if they differ.')
    .option('--deep', 'read all bytes and hash them')
    .option('--repair-plan', 'say for each problem what would mend it')
    .option('--remove-orphans', 'remove bytes that nothing names; the server must be stopped')
    .option('--safe-age <span>', 'leave out of account what is younger, such as 90m or 2d', '1d')
    .action((options: Options) =>
      withCore((core) => check(core, options), options.removeOrphans ? { alone: 'check --remove-orphans' } : {}),
    );
}

async function check(core: Core, options: Options): Promise<void> {
  const summary = await checkStored(core, {
    deep: options.deep === true,
    safeAgeMs: Math.max(parseSeconds(options.safeAge) * 1000, core.config.uploads.expireMs),
    removeOrphans: options.removeOrphans === true,
    async report(problem) {
      say(`${problem.kind}: ${describe(problem)}`);
      if (options.repairPlan) for (const line of await planFor(core, problem)) say(`  ${line}`);
    },
    proceed: async () => {},
  });
  say(sum(summary));
  const left = summary.problems - summary.removed;
  if (left > 0) process.exitCode = 1;
}

function describe(problem: Problem): string {
  switch (problem.kind) {
    case 'missing-bytes':
      return `the bytes of blob ${problem.sha256} are missing: ${problem.detail}`;
    case 'wrong-size':
    case 'wrong-bytes':
      return `blob ${problem.sha256}: ${problem.detail}`;
    case 'orphan-object':
      return `no row knows the object ${problem.key} of ${problem.sizeBytes} bytes`;
    case 'orphan-stage':
      return `no upload knows the stage ${problem.id}`;
    case 'forgotten-blob':
      return `no file names blob ${problem.sha256}, and no sweep would find it`;
    case 'missing-reference':
      return `${placeOf(problem)} names what is not there: ${problem.digests.join(', ')}`;
    case 'unreadable-manifest':
      return `${placeOf(problem)} cannot be understood: ${problem.detail}`;
    case 'database':
      return problem.detail;
  }
}

function placeOf({ file }: Extract<Problem, { file: unknown }>): string {
  return `${file.repo}/${file.path}`;
}

/** What a person can do about it. */
async function planFor({ database }: Core, problem: Problem): Promise<string[]> {
  switch (problem.kind) {
    case 'missing-bytes':
    case 'wrong-size':
    case 'wrong-bytes': {
      const paths = await database.read((db) => listPathsOf(db, problem.sha256, PATHS_SHOWN + 1));
      const more = paths.length > PATHS_SHOWN ? ['and more'] : [];
      return [
        'Restore the bytes from a backup of the store, or delete these files and deploy them again:',
        ...paths.slice(0, PATHS_SHOWN),
        ...more,
      ];
    }
    case 'orphan-object':
    case 'orphan-stage':
    case 'forgotten-blob':
      return ['Stop the server and run "entrepot check --remove-orphans".'];
    case 'missing-reference':
      return [`Push ${problem.file.package}:${problem.file.version} to ${problem.file.repo} again, or delete it.`];
    case 'unreadable-manifest':
      return [`Delete ${problem.file.package}:${problem.file.version} from ${problem.file.repo} and push it again.`];
    case 'database':
      return ['Stop the server, keep a copy of the data folder, and restore the database from a backup.'];
  }
}

function sum({ blobs, bytes, objects, stages, versions, problems, removed }: CheckSummary): string {
  const looked = `Looked at ${blobs} blobs of ${bytes} bytes, ${objects} objects, ${stages} stages and ${versions} versions`;
  const found = problems === 0 ? 'found nothing wrong' : `found ${problems} problems`;
  return `${looked}: ${found}${removed > 0 ? ` and removed ${removed} orphans` : ''}.`;
}
