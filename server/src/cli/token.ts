/** `entrepot token`: tokens for people and machines. */
import type { Command } from 'commander';
import { createToken, listTokens, revokeToken } from '../auth/account-tokens.ts';
import { SYSTEM } from '../auth/accounts.ts';
import { parseTokenScope, renderTokenScope } from '../auth/token-scopes.ts';
import { foldUserName } from '../auth/user-names.ts';
import { AppError } from '../core/errors.ts';
import { parseSeconds } from './durations.ts';
import { say, showTable, showTime } from './output.ts';
import { withCore } from './with-core.ts';

interface CreateOptions {
  readonly expiresIn: string;
  readonly scope?: string;
  readonly description?: string;
  readonly signed?: boolean;
}

const PAGE = 500;

export function addToken(program: Command): void {
  const token = program.command('token').description('Manage access tokens.');
  token
    .command('create <user>')
    .description('Make a token and print it, and nothing else.')
    .option('--expires-in <span>', 'such as 90s, 12h or 30d, or "never"', '30d')
    .option('--scope <scope>', 'such as "artifact:docker-local/team/**:r,w"; all rights of the user by default')
    .option('--description <text>')
    .option('--signed', 'print the signed form, which tells who it is for, instead of the short one')
    .action(create);
  token
    .command('list')
    .description('Show tokens, never what is secret of them.')
    .option('--user <name>', 'only of this user')
    .action(list);
  token
    .command('revoke <id>')
    .description('Make a token void at once.')
    .action((id: string) =>
      withCore(async ({ accounts }) => {
        await revokeToken(accounts, id, SYSTEM);
        say(`Revoked the token "${id}".`);
      }),
    );
}

function create(userName: string, options: CreateOptions): Promise<void> {
  const expiresInSeconds = options.expiresIn === 'never' ? 0 : parseSeconds(options.expiresIn);
  if (expiresInSeconds === 0 && options.expiresIn !== 'never') {
    throw new AppError('invalid', 'A token cannot expire at once. Write "never" for one that does not expire.');
  }
  const { scope, needsAdmin } = parseTokenScope(options.scope ?? '');
  return withCore(async ({ accounts, principals }) => {
    const owner = await principals.getAccountByName(foldUserName(userName) ?? '');
    if (needsAdmin && owner && !owner.principal.admin) {
      throw new AppError('forbidden', `"${owner.name}" is no administrator, so it can have no such token.`);
    }
    const forms = { signed: options.signed === true, reference: options.signed !== true };
    const wanted = { userName, scope, description: options.description, expiresInSeconds, ...forms };
    const created = await createToken(accounts, wanted, SYSTEM);
    say(created.referenceToken ?? created.accessToken ?? '');
  });
}

function list({ user: userName }: { readonly user?: string }): Promise<void> {
  return withCore(async ({ accounts }) => {
    const rows: string[][] = [];
    for (let after = ''; ; ) {
      const page = await listTokens(accounts, { userName, after, limit: PAGE }, SYSTEM);
      for (const row of page) {
        const expires = row.expiresAt === undefined ? 'never' : showTime(row.expiresAt);
        rows.push([
          row.id,
          row.userName,
          expires,
          showTime(row.lastUsedAt),
          renderTokenScope(row.scope),
          row.description,
        ]);
      }
      after = page.at(-1)?.id ?? '';
      if (page.length < PAGE) break;
    }
    showTable(['ID', 'USER', 'EXPIRES', 'LAST USED', 'SCOPE', 'DESCRIPTION'], rows);
  });
}
