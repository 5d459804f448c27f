/** Removing and renaming builds. */
import { z } from 'zod';
import { type BuildDeps, findBuildName, requireBuildRepository } from '../builds/builds.ts';
import { parseBuildJson, parseRetention } from '../builds/document.ts';
import { actorOf, type DiscardOrder, type RenameOrder } from '../builds/jobs.ts';
import { parseBuildWord } from '../builds/names.ts';
import { discardRuns, limitsOf, removeBuild, removeNumbers } from '../builds/removal.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { Repository } from '../core/repository.ts';
import { BUILDS, repositoryOf } from './builds.ts';
import { type ApiRequest, bodyRoute, flag, isSwitchedOn, type Route, readJsonBytes, route } from './route.ts';

export interface BuildRemovalDeps extends BuildDeps {
  readonly buildOrders: {
    /** Has the build renamed in the background. */
    rename(order: RenameOrder): Promise<void>;
    /** Has runs discarded in the background. */
    discard(order: DiscardOrder): Promise<void>;
  };
}

const MAX_RULES_BYTES = 1024 * 1024;
const word = z.union([z.string(), z.number().transform(String)]);

const deletionBody = z.object({
  buildRepo: z.string().optional(),
  project: z.string().optional(),
  buildName: z.string().optional(),
  buildNumbers: z.array(word).default([]),
  deleteArtifacts: flag.default(false),
  deleteAll: flag.default(false),
});

export function buildRemovalRoutes(deps: BuildRemovalDeps): readonly Route[] {
  return [
    bodyRoute({
      methods: ['POST'],
      pattern: `${BUILDS}/delete`,
      right: 'user',
      body: deletionBody,
      async handle({ body, caller }) {
        const repo = requireBuildRepository(deps, body, caller.principal);
        return remove(deps, { repo, principal: caller.principal }, { ...body, buildName: body.buildName ?? '' });
      },
    }),
    route({
      methods: ['DELETE'],
      pattern: `${BUILDS}/{name}`,
      right: 'user',
      async handle(request) {
        const { query, params, caller } = request;
        const numbers = (query.get('buildNumbers') ?? '').split(',').filter((number) => number !== '');
        return remove(
          deps,
          { repo: repositoryOf(deps, request), principal: caller.principal },
          {
            buildName: params['name'] ?? '',
            buildNumbers: numbers,
            deleteArtifacts: isSwitchedOn(query.get('artifacts')),
            deleteAll: isSwitchedOn(query.get('deleteAll')),
          },
        );
      },
    }),
    route({
      methods: ['POST'],
      pattern: `${BUILDS}/retention/{name}`,
      right: 'user',
      handle: (request) => discard(deps, request),
    }),
    route({
      methods: ['POST'],
      pattern: `${BUILDS}/rename/{name}`,
      right: 'admin',
      handle: (request) => rename(deps, request),
    }),
  ];
}

interface Deletion {
  readonly buildName: string;
  readonly buildNumbers: readonly string[];
  readonly deleteArtifacts: boolean;
  readonly deleteAll: boolean;
}

async function remove(
  deps: BuildDeps,
  { repo, principal }: { readonly repo: Repository; readonly principal: Principal },
  { buildName, buildNumbers, deleteArtifacts, deleteAll }: Deletion,
): Promise<Reply> {
  if (buildName.trim() === '') throw new AppError('invalid', 'Please state the name of the build to be removed');
  if (!deleteAll && buildNumbers.length === 0) {
    throw new AppError('invalid', 'Please state the numbers of the builds to be removed, or that all are (deleteAll)');
  }
  const name = await findBuildName(deps, repo, buildName);
  if (name === undefined) {
    throw new AppError('not_found', `Unable to find build '${clip(buildName.replaceAll('%2F', '/'))}'`);
  }
  const removing = { repo, principal, withArtifacts: deleteArtifacts };
  if (deleteAll) {
    await removeBuild(deps, removing, name);
    return { status: 200, text: `All builds '${clip(name)}' under '${repo.key}' have been deleted successfully` };
  }
  const { removed, missing } = await removeNumbers(deps, removing, { name, numbers: buildNumbers });
  if (removed.length === 0) throw new AppError('not_found', 'Unable to find the given build numbers');
  const lines = [
    `The following builds have been deleted successfully: ${removed.map((run) => `'${clip(run.name)}#${clip(run.number)}'`).join(', ')}.`,
  ];
  if (missing.length > 0) {
    const numbers = missing.map((number) => `'${clip(number)}'`).join(', ');
    lines.push(`Warning - the following builds could not be removed: ${numbers}.`);
  }
  return { status: 200, text: `${lines.join('\n')}\n` };
}

/** Done before the answer where `async` is false, as clients do that go on to look. */
async function discard(deps: BuildRemovalDeps, request: ApiRequest): Promise<Reply> {
  const { params, query, caller, exchange } = request;
  const repo = repositoryOf(deps, request);
  const bytes = await readJsonBytes(exchange, MAX_RULES_BYTES);
  const rules = parseRetention(bytes.length === 0 ? {} : parseBuildJson(bytes));
  limitsOf(rules);
  const asked = params['name'] ?? '';
  const name = await findBuildName(deps, repo, asked);
  if (name === undefined) {
    throw new AppError('not_found', `No build was found for build name: ${clip(asked.replaceAll('%2F', '/'))}`);
  }
  const { principal } = caller;
  if (isSwitchedOn(query.get('async'))) {
    await deps.buildOrders.discard({ actor: actorOf(principal), buildRepo: repo.key, name, rules });
  } else {
    await discardRuns(deps, { repo, principal, withArtifacts: false }, name, rules);
  }
  return { status: 204 };
}

async function rename(deps: BuildRemovalDeps, request: ApiRequest): Promise<Reply> {
  const { params, query, caller } = request;
  const repo = repositoryOf(deps, request);
  const to = parseBuildWord(query.get('to') ?? '', 'name');
  const name = await findBuildName(deps, repo, params['name'] ?? '');
  if (name === undefined) {
    throw new AppError('not_found', `Unable to find build '${clip((params['name'] ?? '').replaceAll('%2F', '/'))}'`);
  }
  await deps.buildOrders.rename({ actor: actorOf(caller.principal), buildRepo: repo.key, name, to });
  return {
    status: 200,
    text: `Build renaming of '${clip(name)}' to '${clip(to)}' was successfully started.\n`,
  };
}
