/** The command line: one file per command. */
import { Command } from 'commander';
import { serve } from './serve.ts';

export async function runCommand(argv: readonly string[]): Promise<void> {
  const program = new Command('entrepot').description('An artifact repository manager.');
  program.command('serve', { isDefault: true }).description('Start the server.').action(serve);
  await program.parseAsync([...argv]);
}
