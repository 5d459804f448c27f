/**
 * Yanking (PEP 592): a release stays for those who name exactly its version, and is passed over by everybody else. The
 * clients have no call for it, so this one is ours.
 */
import { readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Repository } from '../../core/repository.ts';
import { requireProject } from './index-pages.ts';
import type { Project, ProjectFile } from './project.ts';
import { type ReleaseFile, YANKED } from './release.ts';
import { isSameVersion } from './versions.ts';

const MAX_BODY = 16 * 1024;
const MAX_REASON = 500;
const SAME_BYTES = 20;

/** `PUT …/yank/{project}/{version}`, with the reason as JSON or as text. */
export async function yank(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const reason = reasonOf(await readAll(request.body, { limit: MAX_BODY, what: 'reason' }));
  return setYanked(request, repo, reason);
}

/** `DELETE …/yank/{project}/{version}`. */
export async function unyank(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  return setYanked(request, repo, undefined);
}

async function setYanked(request: ProtocolRequest, repo: Repository, reason: string | undefined): Promise<Reply> {
  const { project: name = '', version = '' } = request.params;
  if (repo.rclass === 'remote') {
    throw new AppError('not_supported', `"${repo.key}" is a remote repository: only its upstream can yank releases.`);
  }
  const project = await requireProject(repo, name);
  const files = filesOf(project, version);
  if (files.length === 0) {
    throw new AppError('not_found', `There is no version "${clip(version)}" of "${project.name}" in "${repo.key}".`);
  }
  for (const { path } of files) repo.require('deploy', path);
  await repo.change(project.name, async (tree) => {
    for (const file of files) {
      const { path } = file;
      const sha256 = (await tree.get(path))?.sha256;
      const rows = sha256 === undefined ? [] : await tree.versionsOf(project.name, sha256, SAME_BYTES);
      const row = rows.find((each) => each.path === path);
      if (!row) continue;
      const { yanked: _, ...release } = row.metadata as ReleaseFile;
      const described: ReleaseFile = { ...release, ...(reason !== undefined && { yanked: reason }) };
      // A property needs a value: this one stands for no reason.
      await tree.describe(path, described, { [YANKED]: reason === undefined ? [] : [reason || 'true'] });
    }
  });
  const filenames = files.map(({ filename }) => filename);
  return { status: 200, json: { project: project.name, version, files: filenames, yanked: reason ?? false } };
}

function filesOf({ files }: Project, version: string): readonly ProjectFile[] {
  return files.filter((file) => file.version !== undefined && isSameVersion(file.version, version));
}

function reasonOf(body: Buffer): string {
  const text = body.toString('utf8').trim();
  const reason = text.startsWith('{') ? fromJson(text) : text;
  if (reason.length > MAX_REASON) throw new AppError('invalid', `The reason is longer than ${MAX_REASON} characters.`);
  return reason
    .replace(/\s+/g, ' ')
    .replace(/[\u0000-\u001f\u007f]/g, '')
    .toWellFormed();
}

function fromJson(text: string): string {
  try {
    const { reason = '' } = JSON.parse(text) as { reason?: unknown };
    if (typeof reason === 'string') return reason;
  } catch {
    // Said below, as of any other that has no reason.
  }
  throw new AppError('invalid', 'The body must be a text, or JSON such as {"reason": "broken on Windows"}.');
}
