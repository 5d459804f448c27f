/** `entrepot user`: accounts, above all when nobody can sign in any more. */
import type { Command } from 'commander';
import { createUser, deleteUser, revokeAllTokens, SYSTEM, setPassword, updateUser } from '../auth/accounts.ts';
import { generatePassword } from '../auth/password-rules.ts';
import { foldUserName } from '../auth/user-names.ts';
import { getUserByName, listUsers } from '../db/users.ts';
import type { Core } from '../state.ts';
import { say, showTable, showTime } from './output.ts';
import { readPassword } from './password.ts';
import { withCore } from './with-core.ts';

interface PasswordOptions {
  readonly passwordFile?: string;
}
interface AddOptions extends PasswordOptions {
  readonly email?: string;
  readonly admin?: boolean;
  readonly group?: readonly string[];
  /** False with `--no-password`. */
  readonly password: boolean;
}

const PAGE = 500;
const PASSWORD_FILE = [
  '--password-file <path>',
  'file with the password; otherwise it is read from standard input',
] as const;

export function addUser(program: Command): void {
  const user = program.command('user').description('Manage user accounts.');
  user
    .command('add <name>')
    .description('Make an account.')
    .option('--email <address>')
    .option('--admin', 'may do everything')
    .option('--group <name...>', 'groups it belongs to, instead of those that new users join by themselves')
    .option('--no-password', 'can only be used with tokens')
    .option(...PASSWORD_FILE)
    .action(add);
  user.command('list').description('Show all accounts.').action(list);
  user
    .command('passwd <name>')
    .description('Set a password and forget failed logins.')
    .option('--revoke-tokens', 'make all tokens of the account void as well')
    .option(...PASSWORD_FILE)
    .action(setNewPassword);
  user
    .command('disable <name>')
    .description('Stop the passwords and tokens of an account at once.')
    .action((name: string) => setEnabled(name, false));
  user
    .command('enable <name>')
    .description('Let a disabled account be used again.')
    .action((name: string) => setEnabled(name, true));
  user
    .command('delete <name>')
    .description('Remove an account with its tokens, memberships and rights.')
    .action((name: string) =>
      withCore(async ({ accounts }) => {
        await deleteUser(accounts, name, SYSTEM);
        say(`Deleted the user "${name}".`);
      }),
    );
  user
    .command('reset-admin [name]')
    .description('Make an account an enabled administrator with a new password, when nobody can sign in any more.')
    .option('--generate', 'make up a password and show it')
    .option(...PASSWORD_FILE)
    .action((name: string | undefined, options: PasswordOptions & { readonly generate?: boolean }) =>
      resetAdmin(name ?? 'admin', options),
    );
}

async function add(name: string, options: AddOptions): Promise<void> {
  const password = options.password ? await readPassword(options) : undefined;
  await withCore(async ({ accounts }) => {
    const { email, admin = false, group } = options;
    const groups = group && { groups: group, autoJoin: false };
    const made = await createUser(accounts, { name, email, password, admin, ...groups }, SYSTEM);
    say(`Made the user "${made.name}".`);
  });
}

function list(): Promise<void> {
  return withCore(async ({ database }) => {
    const rows: string[][] = [];
    for (let after = ''; ; ) {
      const page = await database.read((db) => listUsers(db, { after, limit: PAGE }));
      for (const user of page) {
        const state = user.enabled ? 'enabled' : 'disabled';
        rows.push([user.name, user.admin ? 'admin' : '-', state, user.email ?? '-', showTime(user.lastLoginAt)]);
      }
      after = page.at(-1)?.name ?? '';
      if (page.length < PAGE) break;
    }
    showTable(['NAME', 'ROLE', 'STATE', 'E-MAIL', 'LAST LOGIN'], rows);
  });
}

async function setNewPassword(name: string, options: PasswordOptions & { revokeTokens?: boolean }): Promise<void> {
  const password = await readPassword(options);
  await withCore(async ({ accounts }) => {
    await setPassword(accounts, { name, password, revokeTokens: options.revokeTokens === true }, SYSTEM);
    say(`Set the password of the user "${name}".`);
  });
}

function setEnabled(name: string, enabled: boolean): Promise<void> {
  return withCore(async ({ accounts }) => {
    const user = await updateUser(accounts, name, { enabled }, SYSTEM);
    say(`${enabled ? 'Enabled' : 'Disabled'} the user "${user.name}".`);
  });
}

async function resetAdmin(name: string, options: PasswordOptions & { readonly generate?: boolean }): Promise<void> {
  const password = options.generate ? generatePassword() : await readPassword(options);
  await withCore(async (core) => {
    await makeAdmin(core, name, password);
    say(`The user "${name}" is an administrator with a new password; its tokens are void.`);
    if (options.generate) say(`Its password is ${password} (it is shown only now).`);
  });
}

/** Whoever had the account before keeps nothing of it. */
async function makeAdmin({ accounts, database }: Core, name: string, password: string): Promise<void> {
  const existing = await database.read((db) => getUserByName(db, foldUserName(name) ?? ''));
  if (!existing) {
    await createUser(accounts, { name, password, admin: true }, SYSTEM);
    return;
  }
  await updateUser(accounts, name, { admin: true, enabled: true, password }, SYSTEM);
  await revokeAllTokens(accounts, name, SYSTEM);
}
