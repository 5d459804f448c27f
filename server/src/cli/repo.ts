/** `entrepot repo`: repositories. */
import type { Command } from 'commander';
import { SYSTEM } from '../auth/accounts.ts';
import { AppError } from '../core/errors.ts';
import { nameOf } from '../core/principal.ts';
import { say, showTable } from './output.ts';
import { withCore } from './with-core.ts';

interface CreateOptions {
  readonly type: string;
  readonly class: string;
  readonly url?: string;
  readonly members?: string;
  readonly description?: string;
}

export function addRepo(program: Command): void {
  const repo = program.command('repo').description('Manage repositories.');
  repo
    .command('create <key>')
    .description('Make a repository.')
    .requiredOption('--type <package type>', 'such as docker or generic')
    .option('--class <class>', 'local, remote, virtual or federated', 'local')
    .option('--url <address>', 'where a remote repository fetches from')
    .option('--members <keys>', 'of a virtual repository, separated by commas')
    .option('--description <text>')
    .action((key: string, options: CreateOptions) =>
      withCore(async ({ administration }) => {
        const { description, url, members } = options;
        const config = {
          ...(description !== undefined && { description }),
          ...(url !== undefined && { url }),
          ...(members !== undefined && { repositories: members.split(',').map((member) => member.trim()) }),
        };
        const request = { key, rclass: options.class, packageType: options.type, config };
        await administration.create(request, nameOf(SYSTEM));
        say(`Made the repository "${key}".`);
      }),
    );
  repo.command('list').description('Show all repositories.').action(list);
  repo
    .command('delete <key>')
    .description('Remove a repository with all it holds.')
    .option('--yes', 'yes, with all it holds')
    .action((key: string, options: { readonly yes?: boolean }) =>
      withCore(async ({ administration }) => {
        if (!options.yes) {
          throw new AppError('invalid', `This removes "${key}" with all it holds. Say so with "--yes".`);
        }
        await administration.delete(key, nameOf(SYSTEM));
        say(`Deleted the repository "${key}".`);
      }),
    );
}

function list(): Promise<void> {
  return withCore(async ({ administration }) => {
    const rows = (await administration.list()).map(({ key, rclass, packageType, config }) => [
      key,
      rclass,
      packageType,
      String(config['description'] ?? ''),
    ]);
    showTable(['KEY', 'CLASS', 'TYPE', 'DESCRIPTION'], rows);
  });
}
