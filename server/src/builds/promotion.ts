/** Promotion: a run gets a status, and its files go on to another repository. */
import { z } from 'zod';
import { AppError, isAppError } from '../core/errors.ts';
import { clip, type Properties } from '../core/ids.ts';
import { nameOf, type Principal } from '../core/principal.ts';
import type { Repository } from '../core/repository.ts';
import type { RunRow } from '../db/builds.ts';
import { type FoundFile, locateArtifacts, locateDependencies, type Place } from './artifacts.ts';
import { amendBuild, type BuildDeps, otherRequests, requireDocument } from './builds.ts';
import { parseMoment, renderMoment } from './dates.ts';
import type { BuildDocument } from './document.ts';

/** Moves or copies one file, asking for every right that takes. */
export type RelocateFile = (request: {
  readonly principal: Principal;
  readonly from: Place;
  readonly to: Place;
  readonly copy: boolean;
  readonly dryRun: boolean;
  readonly properties: Properties;
}) => Promise<readonly PromotionMessage[]>;

export interface PromotionMessage {
  readonly level: 'INFO' | 'WARNING' | 'ERROR';
  readonly message: string;
}

export interface Promoting extends BuildDeps {
  readonly relocateFile: RelocateFile;
}

const flag = z.union([z.boolean(), z.stringbool()]);
const values = z.union([z.array(z.string()), z.string().transform((value) => [value])]);

export const promotionBody = z.object({
  status: z.string().optional(),
  comment: z.string().optional(),
  ciUser: z.string().optional(),
  timestamp: z.string().optional(),
  dryRun: flag.default(false),
  sourceRepo: z.string().optional(),
  targetRepo: z.string().optional(),
  copy: flag.default(false),
  artifacts: flag.default(true),
  dependencies: flag.default(false),
  scopes: z.array(z.string()).default([]),
  properties: z.record(z.string(), values).default({}),
  failFast: flag.default(true),
});
export type PromotionRequest = z.infer<typeof promotionBody>;

/**
 * Moves or copies the files of a run and records its status. Files that went on before a failure stay where they are:
 * promoting again takes up the rest.
 */
export async function promoteRun(
  deps: Promoting,
  at: { readonly repo: Repository; readonly run: RunRow; readonly principal: Principal },
  request: PromotionRequest,
): Promise<readonly PromotionMessage[]> {
  const { repo, run, principal } = at;
  const promotedAt = momentOf(request);
  const { document } = await requireDocument(repo, run);
  if (request.status && !request.dryRun) repo.require('deploy', run.path);
  const messages: PromotionMessage[] = [];
  if (request.targetRepo) {
    messages.push(
      ...(await relocateFiles(deps, { document, repo, principal, targetRepo: request.targetRepo }, request)),
    );
  } else {
    messages.push(info('Skipping build item relocation: no target repository selected.'));
  }
  if (!request.status) {
    messages.push(info('Skipping promotion status update: no status received.'));
  } else if (!request.dryRun) {
    const status = statusOf(request, promotedAt, nameOf(principal));
    await amendBuild(repo, run, (now) => ({ ...now, statuses: [...(now.statuses ?? []), status] }));
  }
  return messages;
}

function momentOf({ timestamp }: PromotionRequest): Date {
  if (!timestamp) return new Date();
  try {
    return parseMoment(timestamp);
  } catch {
    const message = `Skipping promotion status update: invalid\\unparsable timestamp ${clip(timestamp)}.`;
    throw new AppError('invalid', message, { messages: [{ level: 'ERROR', message }] });
  }
}

function statusOf(request: PromotionRequest, at: Date, user: string) {
  const { status, comment, ciUser, targetRepo } = request;
  return {
    status: status ?? '',
    timestamp: request.timestamp || renderMoment(at),
    timestampDate: at.getTime(),
    user,
    ...(ciUser && { ciUser }),
    ...(targetRepo && { repository: targetRepo }),
    ...(comment && { comment }),
  };
}

interface Relocation {
  readonly document: BuildDocument;
  readonly repo: Repository;
  readonly principal: Principal;
  readonly targetRepo: string;
}

async function relocateFiles(
  deps: Promoting,
  { document, repo, principal, targetRepo }: Relocation,
  request: PromotionRequest,
): Promise<PromotionMessage[]> {
  const target = deps.repositories.get(targetRepo, principal);
  if (!target) throw new AppError('not_found', `Cannot find target repository by the key '${clip(targetRepo)}'`);
  const messages: PromotionMessage[] = [];
  const files: FoundFile[] = [];
  const called = `'${clip(String(document.name))}' #${clip(String(document.number))}`;
  if (request.artifacts) {
    const { found, missing } = await locateArtifacts(deps, principal, document, {
      sourceRepo: request.sourceRepo || undefined,
      targetRepo: target.key,
    });
    if (missing.length > 0 && request.failFast) {
      const message = `Unable to find artifacts of build ${called} from ${repo.key} repo: aborting promotion.`;
      throw new AppError('invalid', message);
    }
    if (missing.length > 0) {
      const names = missing.map((item) => clip(String(item['name'] ?? ''))).slice(0, 100);
      messages.push(warning(`Unable to find the following artifacts of build ${called}: ${names.join(', ')}`));
    }
    files.push(...found);
  }
  if (request.dependencies) {
    const { found, missing } = await locateDependencies(deps, principal, document, request.scopes);
    if (missing.length > 0) {
      const names = missing.map((item) => clip(String(item['id'] ?? ''))).slice(0, 100);
      messages.push(warning(`Unable to find the following dependencies of build ${called}: ${names.join(', ')}`));
    }
    files.push(...found);
  }
  for (const file of files) {
    if (file.repo !== target.key) messages.push(...(await relocateOne(deps, { file, principal, target }, request)));
    else await annotate(target, file, request);
    await otherRequests();
  }
  return messages;
}

async function relocateOne(
  deps: Promoting,
  { file, principal, target }: { readonly file: FoundFile; readonly principal: Principal; readonly target: Repository },
  request: PromotionRequest,
): Promise<readonly PromotionMessage[]> {
  const { copy, dryRun, properties, failFast } = request;
  const from = { repo: file.repo, path: file.path };
  try {
    if (copy && (await hasSame(deps, principal, { from, target }))) {
      await annotate(target, file, request);
      return [];
    }
    const to = { repo: target.key, path: file.path };
    return await deps.relocateFile({ principal, from, to, copy, dryRun, properties });
  } catch (error) {
    if (failFast || !isAppError(error)) throw error;
    return [{ level: 'ERROR', message: error.message }];
  }
}

/** Whether an earlier promotion has made the copy already. */
async function hasSame(
  { repositories }: BuildDeps,
  principal: Principal,
  { from, target }: { readonly from: Place; readonly target: Repository },
): Promise<boolean> {
  if (!target.allows('read', from.path)) return false;
  const there = await target.get(from.path);
  return there !== undefined && there.sha256 === (await repositories.get(from.repo, principal)?.get(from.path))?.sha256;
}

/** Gives a file that is in its place already what it would have got on its way. */
async function annotate(target: Repository, { path }: Place, { dryRun, properties }: PromotionRequest): Promise<void> {
  if (dryRun || Object.keys(properties).length === 0) return;
  await target.change(path, (tree) => tree.annotate(path, { set: properties }));
}

function info(message: string): PromotionMessage {
  return { level: 'INFO', message };
}

function warning(message: string): PromotionMessage {
  return { level: 'WARNING', message };
}
