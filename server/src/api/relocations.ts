/** Copying and moving items, and promoting images. */
import { z } from 'zod';
import { AppError, isAppError } from '../core/errors.ts';
import { clip, joinPath, parseRepoPath } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { TreeOperations } from '../repositories/operations.ts';
import { type RelocationResult, relocate } from '../repositories/relocate.ts';
import { type ApiRequest, bodyRoute, isSwitchedOff, isSwitchedOn, type Route, route } from './route.ts';
import { parseTarget, pathOf } from './storage/place.ts';

export interface RelocationDeps {
  readonly operations: TreeOperations;
}

const RESULT = 'application/vnd.org.jfrog.artifactory.storage.CopyOrMoveResult+json';

export function relocationRoutes(deps: RelocationDeps): readonly Route[] {
  const verbs = [
    { word: 'copy', copy: true },
    { word: 'move', copy: false },
  ];
  const relocations = verbs.flatMap(({ word, copy }) =>
    [`artifactory/api/${word}/{repo}`, `artifactory/api/${word}/{repo}/{path...}`].map((pattern) =>
      route({ methods: ['POST'], pattern, right: 'user', handle: (request) => copyOrMove(deps, request, copy) }),
    ),
  );
  return [
    ...relocations,
    bodyRoute({
      methods: ['POST'],
      pattern: 'artifactory/api/docker/{repo}/v2/promote',
      right: 'user',
      body: promotion,
      handle: (request) => promote(deps, request),
    }),
  ];
}

async function copyOrMove({ operations }: RelocationDeps, request: ApiRequest, copy: boolean): Promise<Reply> {
  const { query, caller, params, exchange } = request;
  const to = query.get('to');
  if (!to) throw new AppError('invalid', 'The target is missing: send to=/repository/path.');
  const repo = params['repo'] ?? '';
  exchange.note.repo = repo;
  const result = await relocate(
    { operations },
    {
      principal: caller.principal,
      from: { repo, path: pathOf(request) },
      to: parseTarget(to),
      copy,
      dryRun: isSwitchedOn(query.get('dry')),
      failFast: isSwitchedOn(query.get('failFast')),
      atomic: isSwitchedOn(query.get('atomic')),
      // Suppressed where nothing is said.
      translates: isSwitchedOff(query.get('suppressLayouts')),
    },
  );
  return render(result);
}

/** Whatever was refused decides the status; the messages tell what went nevertheless. */
function render({ messages }: RelocationResult): Reply {
  const status = messages.find(({ level }) => level === 'ERROR')?.status ?? 200;
  const json = { messages: messages.map(({ level, message }) => ({ level, message })) };
  return { status, json, headers: { 'Content-Type': RESULT } };
}

const name = z.string().min(1).max(255);
const promotion = z.object({
  targetRepo: name,
  dockerRepository: name,
  targetDockerRepository: name.optional(),
  tag: name.optional(),
  targetTag: name.optional(),
  copy: z.boolean().optional(),
});

/** An image, or one tag of it, goes to another repository or gets another name. */
async function promote(
  { operations }: RelocationDeps,
  { params, caller, body, exchange }: ApiRequest<z.infer<typeof promotion>>,
): Promise<Reply> {
  const { targetRepo, dockerRepository, tag, copy = false } = body;
  const repo = params['repo'] ?? '';
  exchange.note.repo = repo;
  requireImages(operations, repo, caller.principal);
  if (body.targetTag !== undefined && tag === undefined) {
    throw new AppError('invalid', 'The field "targetTag" needs the field "tag": which tag is it to be?');
  }
  const target = body.targetDockerRepository ?? dockerRepository;
  const targetTag = body.targetTag ?? tag;
  const request = {
    principal: caller.principal,
    from: { repo, path: parseRepoPath(joinPath(dockerRepository, tag ?? '')) },
    to: { repo: targetRepo, path: parseRepoPath(joinPath(target, targetTag ?? '')) },
    copy,
    exact: true,
    replace: tag !== undefined,
    shallow: tag !== undefined,
  };
  try {
    const { messages } = await relocate({ operations }, request);
    const problem = messages.find(({ level }) => level === 'ERROR');
    if (problem) throw new AppError(problem.status === 403 ? 'forbidden' : 'conflict', problem.message);
  } catch (error) {
    if (!isAppError(error, 'not_found')) throw error;
    const image = tag === undefined ? dockerRepository : `${dockerRepository}:${tag}`;
    throw new AppError('not_found', `Unable to find docker image '${clip(image)}' in '${clip(repo)}'.`);
  }
  return { status: 200, text: 'Promotion ended successfully' };
}

/** Whether there is a repository of images that the caller may know of. */
function requireImages(operations: TreeOperations, repo: string, principal: Principal): void {
  const opened = operations.deps.repositories.open(repo, principal);
  if (!opened) throw new AppError('not_found', `Could not find the repository "${clip(repo)}".`);
  if (!operations.formatOf(opened.row.packageType)?.companions) {
    throw new AppError('invalid', `The repository "${clip(repo)}" holds no images.`);
  }
}
