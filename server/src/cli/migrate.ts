/** `entrepot migrate`: brings the database up to date, or makes it. */
import type { Command } from 'commander';
import { say } from './output.ts';
import { withCore } from './with-core.ts';

export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('Bring the database up to date, or make it; a server does so by itself when it starts.')
    .action(() =>
      withCore(
        async ({ migrated }) => {
          say(migrated.length === 0 ? 'The database is up to date.' : `Applied ${migrated.join(', ')}.`);
        },
        { create: true },
      ),
    );
}
