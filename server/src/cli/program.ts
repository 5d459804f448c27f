/** The command line: one file per command. */
import { Command } from 'commander';
import { PRODUCT } from '../lib/product.ts';
import { addCheck } from './check.ts';
import { addExplain } from './explain.ts';
import { sentenceOf } from './failure.ts';
import { addGc } from './gc.ts';
import { addGroup } from './group.ts';
import { addMigrate } from './migrate.ts';
import { addPermission } from './permission.ts';
import { addReadOnly } from './read-only.ts';
import { addRepo } from './repo.ts';
import { serve } from './serve.ts';
import { addToken } from './token.ts';
import { addUser } from './user.ts';

const COMMANDS = [
  addMigrate,
  addCheck,
  addGc,
  addUser,
  addGroup,
  addPermission,
  addToken,
  addRepo,
  addReadOnly,
  addExplain,
];

/** Runs the command; one that fails says why in a sentence, and the exit code is 1. */
export async function runCommand(argv: readonly string[]): Promise<void> {
  const program = new Command('entrepot').description('An artifact repository manager.').version(PRODUCT.version);
  program.command('serve').description('Start the server; what is done when no command is named.').action(serve);
  for (const add of COMMANDS) add(program);
  try {
    await program.parseAsync(argv.length > 2 ? [...argv] : [...argv, 'serve']);
  } catch (error) {
    process.stderr.write(`${sentenceOf(error)}\n`);
    // What the command had opened would keep the process waiting.
    process.exit(1);
  }
}
