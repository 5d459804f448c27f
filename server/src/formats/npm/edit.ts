/** Changes of what is said about versions that are there: deprecation, tags, owners, stars; and their removal. */
import { readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Repository, Tree } from '../../core/repository.ts';
import { parseJson } from '../../lib/json.ts';
import { Spell } from '../../lib/spell.ts';
import { type Edit, MAX_SENT_BACK, readEdit } from './edit-document.ts';
import { notHeld, unknownPackage, unknownVersion } from './errors.ts';
import { parseName, parseTag, parseVersion, tarballPath } from './names.ts';
import { type Packument, tagsOf } from './packument.ts';
import { type ReleaseRow, readRow, recordOf } from './release.ts';
import { giveStar, takeStar } from './stars.ts';
import { refuseRemovalOfLatest, releaseTag, rewrite, rowsOf, setTag } from './tags.ts';

const MAX_TAG_BODY = 64 * 1024;
const MAX_DEPTH = 100;
const MAX_MESSAGE = 16 * 1024;
/** So many versions are changed or removed in one transaction. */
const BATCH = 50;

/** The document of the package as it is held here, where it can be changed. */
export async function heldPackument(repo: Repository, name: string): Promise<Packument> {
  const held = await repo.document('packument', name);
  if (!held) throw unknownPackage(name);
  return (await held.read()) as unknown as Packument;
}

/** Answers a PUT of a document with its revision: what clients send to deprecate, to change owners and to unpublish. */
export async function putRevision(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  const name = parseName(request.params['name'] ?? '');
  context.repo.require('deploy', tarballPath(name, '0.0.0'));
  const bytes = await readAll(request.body, { limit: MAX_SENT_BACK, what: 'document of the package' });
  return editPackument(name, bytes, context, { tags: true });
}

/**
 * Takes from a document what may be said of versions that are published. Versions that it lacks stay: clients remove
 * them one by one, and it may not know of those that were published meanwhile.
 */
export async function editPackument(
  name: string,
  document: Buffer,
  { repo, caller }: ProtocolContext,
  { tags }: { readonly tags: boolean },
): Promise<Reply> {
  const edit = await readEdit(document);
  const current = await heldPackument(repo, name);
  if (!tags) requireKnown(current, edit);
  await deprecate(repo, current, edit);
  if (tags) await moveTags(repo, current, edit);
  await nameOwners(repo, current, edit);
  if (caller !== undefined) await star(repo, current, edit, caller);
  const now = await repo.document('packument', name);
  const { rev } = now ? ((await now.read()) as unknown as Packument) : current;
  return { status: 201, json: { ok: true, success: true, id: name, rev } };
}

function requireKnown(current: Packument, { versions }: Edit): void {
  for (const version of versions.keys()) {
    if (current.releases.has(version)) continue;
    throw new AppError('invalid', `The document has the version "${clip(version)}" but no tarball of it.`);
  }
}

async function deprecate(repo: Repository, current: Packument, { versions }: Edit): Promise<void> {
  const changed: { version: string; message: string | undefined }[] = [];
  const spell = new Spell();
  for (const [version, message] of versions) {
    if (spell.isOver) await spell.rest();
    const release = current.releases.get(version);
    if (!release || message === release.deprecated) continue;
    if (message !== undefined && message.length > MAX_MESSAGE) {
      throw new AppError('invalid', `The message of a deprecation cannot be longer than ${MAX_MESSAGE} characters.`);
    }
    changed.push({ version, message });
  }
  for (let from = 0; from < changed.length; from += BATCH) {
    await repo.change(current.name, async (tree) => {
      for (const { version, message } of changed.slice(from, from + BATCH)) {
        await reword(tree, current.name, version, ({ deprecated: _, ...row }) => ({
          ...row,
          ...(message !== undefined && { deprecated: message }),
        }));
      }
    });
  }
}

async function moveTags(repo: Repository, current: Packument, { tags }: Edit): Promise<void> {
  const held = tagsOf(current);
  const moved = Object.entries(tags).filter(
    (entry): entry is [string, string] =>
      typeof entry[1] === 'string' && held[entry[0]] !== entry[1] && current.releases.has(entry[1]),
  );
  if (moved.length === 0) return;
  await repo.change(current.name, async (tree) => {
    for (const [tag, version] of moved) await setTag(tree, current.name, parseTag(tag), version);
  });
}

/** Owners belong to no version, so the row of the latest keeps them. */
async function nameOwners(repo: Repository, current: Packument, { maintainers }: Edit): Promise<void> {
  const { name, latest } = current;
  if (!Array.isArray(maintainers) || maintainers.length === 0 || maintainers.length > 1000) return;
  const value = owned(maintainers);
  if (latest === undefined || JSON.stringify(value) === JSON.stringify(owned(current.maintainers))) return;
  const at = Date.now();
  await repo.change(name, (tree) => reword(tree, name, latest, (row) => ({ ...row, maintainers: { at, value } })));
}

/** Of all the stars in a document the caller's own is taken: the others' may have changed since it was read. */
async function star(repo: Repository, current: Packument, { users }: Edit, caller: string): Promise<void> {
  const { name, latest, stars } = current;
  const given = recordOf(users);
  const isStarred = Object.hasOwn(given, caller) && Boolean(given[caller]);
  if (users === undefined || latest === undefined || isStarred === stars.has(caller)) return;
  await repo.change(name, async (tree) => {
    if (isStarred) return giveStar(tree, name, latest, caller);
    if (!(await takeStar(tree, name, caller))) throw notHeld(name, latest);
  });
}

function owned(maintainers: readonly unknown[]): readonly unknown[] {
  return maintainers.map((one) => {
    const { name, email } = recordOf(one);
    return {
      name: typeof name === 'string' ? name.slice(0, 255) : '',
      ...(typeof email === 'string' && { email: email.slice(0, 255) }),
    };
  });
}

async function reword(
  tree: Tree,
  name: string,
  version: string,
  change: (row: ReleaseRow) => ReleaseRow,
): Promise<void> {
  const rows = await rowsOf(tree, name, version);
  if (rows.length === 0) throw notHeld(name, version);
  for (const found of rows) {
    const row = readRow(found);
    if (row) await rewrite(tree, found, change(row));
  }
}

export async function getTags(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const doc = await heldPackument(repo, parseName(request.params['name'] ?? ''));
  return { status: 200, json: tagsOf(doc), headers: { 'Cache-Control': 'private, max-age=0, must-revalidate' } };
}

/** The version comes as a JSON text: `"1.0.0"`. */
export async function putTag(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const name = parseName(request.params['name'] ?? '');
  const tag = parseTag(request.params['tag'] ?? '');
  repo.require('deploy', tarballPath(name, '0.0.0'));
  const version = await readJson(request, MAX_TAG_BODY, 'version for the tag');
  if (typeof version !== 'string')
    throw new AppError('invalid', 'The version for the tag must be a JSON text: "1.0.0".');
  await heldPackument(repo, name);
  await repo.change(name, (tree) => setTag(tree, name, tag, parseVersion(version)));
  return { status: 201, json: { ok: true, id: name } };
}

/** Several at once; PUT removes those that are not named. */
export async function putTags(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const name = parseName(request.params['name'] ?? '');
  repo.require('deploy', tarballPath(name, '0.0.0'));
  const wanted = Object.entries(recordOf(await readJson(request, MAX_TAG_BODY, 'tags')));
  const tags = wanted.map(([tag, version]) => [parseTag(tag), parseVersion(String(version))] as const);
  const doc = await heldPackument(repo, name);
  const named = new Set(tags.map(([tag]) => tag));
  await repo.change(name, async (tree) => {
    for (const [tag, version] of tags) await setTag(tree, name, tag, version);
    if (request.method !== 'PUT') return;
    for (const tag of doc.tags.keys()) if (tag !== 'latest' && !named.has(tag)) await releaseTag(tree, name, tag);
  });
  return { status: 201, json: { ok: true, id: name } };
}

export async function deleteTag(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const name = parseName(request.params['name'] ?? '');
  const tag = parseTag(request.params['tag'] ?? '');
  repo.require('deploy', tarballPath(name, '0.0.0'));
  refuseRemovalOfLatest(tag);
  const doc = await heldPackument(repo, name);
  if (!doc.tags.has(tag)) throw unknownVersion(name, tag);
  await repo.change(name, async (tree) => {
    await releaseTag(tree, name, tag);
  });
  return { status: 200, json: { ok: true, id: name } };
}

async function readJson(request: ProtocolRequest, limit: number, what: string): Promise<unknown> {
  const parsed = parseJson(await readAll(request.body, { limit, what }), { maxDepth: MAX_DEPTH });
  if ('problem' in parsed) throw new AppError('invalid', `The ${what} cannot be read: ${parsed.problem}.`);
  return parsed.value;
}
