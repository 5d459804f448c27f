/** `entrepot readonly`: has nothing written, to the server or to one repository, and tells clients why. */
import type { Command } from 'commander';
import { SYSTEM } from '../auth/accounts.ts';
import { AppError } from '../core/errors.ts';
import { nameOf } from '../core/principal.ts';
import { say, showTable } from './output.ts';
import { withCore } from './with-core.ts';

interface Options {
  readonly repo?: string;
}

export function addReadOnly(program: Command): void {
  const readOnly = program.command('readonly').description('Refuse all writes for a while; reading goes on.');
  readOnly
    .command('on')
    .description('From now on nothing is written; a running server learns of it within a second.')
    .requiredOption('--reason <text>', 'why, which refused clients see')
    .option('--repo <key>', 'only this repository')
    .action(({ reason, repo }: Options & { readonly reason: string }) =>
      withCore(async (core) => {
        requireKnown(core.repositories.has(repo ?? ''), repo);
        await core.readOnly.set(reason, nameOf(SYSTEM), repo);
        say(repo === undefined ? 'The server is read-only.' : `The repository "${repo}" is read-only.`);
      }),
    );
  readOnly
    .command('off')
    .description('Writes are taken again.')
    .option('--repo <key>', 'only this repository')
    .action(({ repo }: Options) =>
      withCore(async (core) => {
        const was = await core.readOnly.clear(nameOf(SYSTEM), repo);
        const what = repo === undefined ? 'The server' : `The repository "${repo}"`;
        say(was ? `${what} takes writes again.` : `${what} was not read-only.`);
      }),
    );
  readOnly
    .command('status')
    .description('Show what is read-only, and why.')
    .action(() =>
      withCore(async (core) => {
        const { server, repositories } = core.readOnly.state;
        const rows = Object.entries(repositories).map(([key, { reason, since, by }]) => [key, reason, since, by]);
        if (server) rows.unshift(['(server)', server.reason, server.since, server.by]);
        showTable(['WHAT', 'REASON', 'SINCE', 'BY'], rows);
      }),
    );
}

function requireKnown(known: boolean, repo: string | undefined): void {
  if (repo !== undefined && !known) throw new AppError('not_found', `There is no repository "${repo}".`);
}
