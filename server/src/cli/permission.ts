/** `entrepot permission`: who may do what where. */
import type { Command } from 'commander';
import { SYSTEM } from '../auth/accounts.ts';
import { deletePermissionTarget, putPermissionTarget } from '../auth/permission-targets.ts';
import { parseActions } from '../auth/permissions.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { type GrantRow, listPermissionTargets } from '../db/permission-targets.ts';
import { getUserGroup } from '../db/user-groups.ts';
import { getUser } from '../db/users.ts';
import type { Core } from '../state.ts';
import { say, showTable } from './output.ts';
import { withCore } from './with-core.ts';

interface SetOptions {
  readonly repository: readonly string[];
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly user?: readonly string[];
  readonly group?: readonly string[];
}

export function addPermission(program: Command): void {
  const permission = program.command('permission').description('Manage permission targets.');
  permission
    .command('set <name>')
    .description('Make a permission target, or replace it.')
    .requiredOption('--repository <key...>', 'repositories it is for, or "ANY", "ANY LOCAL"')
    .option('--include <pattern...>', 'paths it is for; all by default')
    .option('--exclude <pattern...>', 'paths it is not for')
    .option('--user <name=actions...>', 'such as ann=read,deploy; "anonymous" for callers without credentials')
    .option('--group <name=actions...>', 'actions are read, annotate, deploy, delete and manage')
    .action(set);
  permission.command('list').description('Show all permission targets.').action(list);
  permission
    .command('delete <name>')
    .description('Remove a permission target.')
    .action((name: string) =>
      withCore(async ({ accounts }) => {
        await deletePermissionTarget(accounts, name, SYSTEM);
        say(`Deleted the permission target "${name}".`);
      }),
    );
}

function set(name: string, options: SetOptions): Promise<void> {
  const grants = [
    ...(options.user ?? []).map((text) => parseGrant('user', text)),
    ...(options.group ?? []).map((text) => parseGrant('group', text)),
  ];
  return withCore(async ({ accounts }) => {
    const { repository: repositories, include: includes = [], exclude: excludes = [] } = options;
    const edit = { name, repositories, includes, excludes, grants };
    const { created } = await putPermissionTarget(accounts, edit, SYSTEM);
    say(`${created ? 'Made' : 'Replaced'} the permission target "${name}".`);
  });
}

function parseGrant(kind: 'user' | 'group', text: string) {
  const equals = text.lastIndexOf('=');
  if (equals <= 0) {
    throw new AppError(
      'invalid',
      `"${clip(text)}" is no right. Write the name and the actions, such as ann=read,deploy.`,
    );
  }
  return { kind, name: text.slice(0, equals), actions: parseActions(text.slice(equals + 1).split(',')) };
}

function list(): Promise<void> {
  return withCore(async (core) => {
    const rows: string[][] = [];
    for (const target of await core.database.read(listPermissionTargets)) {
      const grants = await Promise.all(target.grants.map((grant) => renderGrant(core, grant)));
      const paths = [...target.includes, ...target.excludes.map((pattern) => `not ${pattern}`)].join(' ');
      rows.push([target.name, target.repositories.join(' '), paths, grants.join(' ')]);
    }
    showTable(['NAME', 'REPOSITORIES', 'PATHS', 'RIGHTS'], rows);
  });
}

async function renderGrant({ database }: Core, { kind, subject, actions }: GrantRow): Promise<string> {
  const name = await database.read(async (db) =>
    kind === 'user' ? (await getUser(db, subject))?.name : (await getUserGroup(db, subject))?.name,
  );
  return `${kind} ${name ?? subject}=${actions.join(',')}`;
}
