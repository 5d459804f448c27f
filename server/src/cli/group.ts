/** `entrepot group`: groups and who belongs to them. */
import type { Command } from 'commander';
import { SYSTEM } from '../auth/accounts.ts';
import { changeMembers, createGroup, deleteGroup } from '../auth/groups.ts';
import { listUserGroups } from '../db/user-groups.ts';
import { say, showTable } from './output.ts';
import { withCore } from './with-core.ts';

interface AddOptions {
  readonly description?: string;
  readonly autoJoin?: boolean;
  readonly admin?: boolean;
}

const PAGE = 500;

export function addGroup(program: Command): void {
  const group = program.command('group').description('Manage groups of users.');
  group
    .command('add <name>')
    .description('Make a group.')
    .option('--description <text>')
    .option('--auto-join', 'new users become members by themselves')
    .option('--admin', 'members may do everything')
    .action((name: string, options: AddOptions) =>
      withCore(async ({ accounts }) => {
        await createGroup(accounts, { name, ...options }, SYSTEM);
        say(`Made the group "${name}".`);
      }),
    );
  group.command('list').description('Show all groups.').action(list);
  group
    .command('add-member <group> <user...>')
    .description('Add users to a group.')
    .action((name: string, users: string[]) =>
      withCore(async ({ accounts }) => {
        await changeMembers(accounts, { group: name, add: users }, SYSTEM);
        say(`Added ${users.join(', ')} to the group "${name}".`);
      }),
    );
  group
    .command('remove-member <group> <user...>')
    .description('Remove users from a group.')
    .action((name: string, users: string[]) =>
      withCore(async ({ accounts }) => {
        await changeMembers(accounts, { group: name, remove: users }, SYSTEM);
        say(`Removed ${users.join(', ')} from the group "${name}".`);
      }),
    );
  group
    .command('delete <name>')
    .description('Remove a group with its memberships and rights.')
    .action((name: string) =>
      withCore(async ({ accounts }) => {
        await deleteGroup(accounts, name, SYSTEM);
        say(`Deleted the group "${name}".`);
      }),
    );
}

function list(): Promise<void> {
  return withCore(async ({ database }) => {
    const rows: string[][] = [];
    for (let after = ''; ; ) {
      const page = await database.read((db) => listUserGroups(db, { after, limit: PAGE }));
      for (const { name, admin, autoJoin, description } of page) {
        rows.push([name, admin ? 'admin' : '-', autoJoin ? 'new users join' : '-', description]);
      }
      after = page.at(-1)?.name ?? '';
      if (page.length < PAGE) break;
    }
    showTable(['NAME', 'ROLE', 'JOINING', 'DESCRIPTION'], rows);
  });
}
