/** How clients are set up for a repository, with the address by which the caller reached the server. Of our own. */
import { AppError } from '../core/errors.ts';
import type { Format } from '../core/format.ts';
import { clip } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { Repository } from '../core/repository.ts';
import { type ClientSetup, PLACEHOLDERS, PURPOSES, SECRET, USER } from '../core/setup.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { type ApiRequest, READ, type Route, route } from './route.ts';

export interface SetMeUpDeps {
  readonly repositories: RepositoryDirectory;
  readonly formats: readonly Format[];
}

export function setMeUpRoutes(deps: SetMeUpDeps): readonly Route[] {
  return [
    route({
      methods: READ,
      pattern: 'artifactory/api/v1/repositories/{key}/set-me-up',
      right: 'reader',
      handle: (request) => setMeUp(deps, request),
    }),
  ];
}

async function setMeUp({ repositories, formats }: SetMeUpDeps, { params, caller, exchange }: ApiRequest) {
  const { principal, authenticated } = caller;
  const key = params['key'] ?? '';
  const repo = repositories.get(key, principal);
  if (!repo) {
    if (!authenticated) throw new AppError('unauthenticated', 'Authentication is required');
    throw new AppError('not_found', `There is no repository "${clip(key)}", or you may not know of it.`);
  }
  const format = formats.find(({ packageTypes }) => packageTypes.includes(repo.packageType));
  const user = principal.kind === 'user' ? principal.name : USER;
  const noDeploys = whyNoDeploys(repositories, repo, principal);
  const clients = (format?.setup?.(repo, { origin: exchange.origin, user }) ?? []).flatMap((client) =>
    shown(client, noDeploys === undefined),
  );
  const reply: Reply = {
    status: 200,
    json: {
      repository: repo.key,
      type: repo.packageType,
      class: repo.rclass,
      deploys: noDeploys === undefined,
      ...(noDeploys !== undefined && { noDeploys }),
      placeholders: openPlaces(clients),
      clients,
    },
    headers: { 'Cache-Control': 'no-store' },
  };
  return reply;
}

/** Why the caller can put nothing into the repository, in a sentence that names no other; undefined where it can. */
function whyNoDeploys(
  repositories: RepositoryDirectory,
  { key, rclass, deploysTo }: Repository,
  principal: Principal,
): string | undefined {
  if (rclass === 'remote') {
    return `Repository "${key}" is remote: it fetches what it is asked for, and takes no deploys. Publish to a local repository, or to a virtual one that has a default deployment repository.`;
  }
  if (deploysTo === undefined) {
    return `Repository "${key}" is virtual and has no default deployment repository, so it takes no deploys. Publish to a local repository, or ask an administrator to set one.`;
  }
  if (repositories.open(deploysTo, principal)?.access.mayWrite) return undefined;
  if (principal.kind === 'anonymous') return 'Who has not signed in may not deploy to it: sign in to see how.';
  return `You may deploy nothing to "${key}". Ask an administrator for the right to deploy.`;
}

interface ShownClient extends Pick<ClientSetup, 'id' | 'name'> {
  readonly steps: readonly {
    readonly purpose: string;
    readonly deploys: boolean;
    readonly snippets: readonly ({ readonly code: string; readonly file?: string } & object)[];
  }[];
}

/** Nothing is left of a client that can only deploy, where there is nothing to deploy to. */
function shown({ id, name, steps }: ClientSetup, mayDeploy: boolean): readonly ShownClient[] {
  const purposes = PURPOSES.filter((purpose) => mayDeploy || purpose !== 'publish');
  const list = purposes.flatMap((purpose) => {
    const snippets = steps[purpose] ?? [];
    return snippets.length === 0 ? [] : [{ purpose, deploys: purpose === 'publish', snippets }];
  });
  const isUseful = list.some(({ purpose }) => purpose === 'install' || purpose === 'publish');
  return isUseful ? [{ id, name, steps: list }] : [];
}

/** What people have to fill in, of all that the snippets leave open. */
function openPlaces(clients: readonly ShownClient[]): object[] {
  const texts = clients.flatMap(({ steps }) =>
    steps.flatMap(({ snippets }) => snippets.flatMap(({ code, file = '' }) => [code, file])),
  );
  return Object.entries(PLACEHOLDERS)
    .filter(([text]) => texts.some((each) => each.includes(text)))
    .map(([text, meaning]) => ({ text, meaning, secret: text === SECRET }));
}
