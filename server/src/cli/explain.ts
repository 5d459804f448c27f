/** `entrepot explain`: why a request was refused, or what decides whether somebody may do something. */
import type { Command } from 'commander';
import { parseActions } from '../auth/permissions.ts';
import { AppError } from '../core/errors.ts';
import { clip, parseRepoKey, parseRepoPath } from '../core/ids.ts';
import type { Core } from '../state.ts';
import { say } from './output.ts';
import { withCore } from './with-core.ts';

export function addExplain(program: Command): void {
  program
    .command('explain <request-id | repository/path>')
    .description('Say why a request was refused or found nothing, or whether --user may do --action at a path.')
    .option('--user <name>', 'whose right is asked for; "anonymous" for callers without credentials')
    .option('--action <action>', 'read, annotate, deploy, delete or manage', 'read')
    .action((what: string, options: { readonly user?: string; readonly action: string }) =>
      withCore((core) =>
        options.user === undefined
          ? explainRequest(core, what)
          : explainRight(core, what, options.user, options.action),
      ),
    );
}

async function explainRequest({ refusals }: Core, id: string): Promise<void> {
  const found = await refusals.find(id);
  if (!found) {
    throw new AppError(
      'not_found',
      `No refused request "${clip(id)}" is known. The id is in the header X-Request-Id of the answer; refusals are kept for a week.`,
    );
  }
  const { at, principal, method, address, status, message, steps } = found;
  say(`${new Date(at).toISOString()}  ${principal}  ${method} ${address}`);
  say(`${status}: ${message}`);
  for (const { text } of steps) say(`- ${text}`);
}

async function explainRight(core: Core, address: string, user: string, actionText: string): Promise<void> {
  const [key = '', ...rest] = address.split('/');
  const [repo, path] = [parseRepoKey(key), parseRepoPath(rest.join('/'))];
  const [action = 'read'] = parseActions([actionText]);
  const principal = await core.principals.named(user);
  const allowed = core.repositories.get(repo, principal)?.allows(action, path) ?? false;
  say(`"${user}" may ${allowed ? '' : 'not '}${action} at "${address}".`);
  if (!core.repositories.has(repo)) say(`- There is no repository "${repo}".`);
  for (const step of core.permissions.explain(principal, action, repo, path)) say(`- ${step}`);
}
