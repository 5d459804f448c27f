/** Checksum files: computed when read, verified when put, never stored. */
import { createHash } from 'node:crypto';
import { readAll } from '../../core/bodies.ts';
import { AppError, isAppError } from '../../core/errors.ts';
import type { PathKind } from '../../core/format.ts';
import { clip, type RepoPath, type Sha256 } from '../../core/ids.ts';
import type { AssetReply, Reply } from '../../core/protocol.ts';
import type { Asset, Repository } from '../../core/repository.ts';
import { Lru } from '../../lib/lru.ts';
import type { Turnstile } from '../../lib/turnstile.ts';
import { isChecksum } from './claimed-checksums.ts';
import { type ContentRequest, uriOf } from './content-request.ts';

type Sidecar = Extract<PathKind, { kind: 'checksum' }>;

const MEDIA_TYPE = 'application/x-checksum';
const MAX_BYTES = 1024;
const computed = new Lru<Sha256, string>({ maxEntries: 10_000 });

/** The bare value; asked for its head, all that verifies the file it is of. */
export async function sidecarReply(
  { exchange, looking }: Pick<ContentRequest, 'exchange' | 'looking'>,
  of: Asset,
  algorithm: Sidecar['algorithm'],
  head: AssetReply,
): Promise<Reply> {
  const { method } = exchange.request;
  const value = algorithm === 'sha512' ? await sha512Of(of, looking) : (await of.checksums())[algorithm];
  const headers = { 'Content-Type': MEDIA_TYPE, 'Last-Modified': of.modifiedAt.toUTCString() };
  if (method !== 'HEAD') return { status: 200, bytes: Buffer.from(value), headers };
  return { ...head, mediaType: MEDIA_TYPE };
}

/** Whether a checksum is given at all, where that is up to those who put files. */
export function isDeclared(
  { repo, format, repositoryOf }: Pick<ContentRequest, 'repo' | 'format' | 'repositoryOf'>,
  file: Asset,
  algorithm: Sidecar['algorithm'],
): boolean {
  if (format?.clientChecksums !== true || algorithm === 'sha512' || algorithm === 'sha256') return true;
  const settings = settingsOf({ repo, repositoryOf }, file);
  // What is kept of an upstream has the checksums that it has.
  if (!settings || settings['url'] !== undefined) return true;
  const isMade = settings['checksumPolicyType'] === 'server-generated-checksums';
  return isMade || file.declared[algorithm] !== undefined;
}

/** Refuses a file of which whoever put it says that its bytes should be others, until they say otherwise. */
export async function requireUndisputed(
  { repo, format, repositoryOf }: Pick<ContentRequest, 'repo' | 'format' | 'repositoryOf'>,
  file: Asset,
): Promise<void> {
  const { sha1, md5 } = file.declared;
  if (format?.clientChecksums !== true || (sha1 === undefined && md5 === undefined)) return;
  const actual = await file.checksums();
  const algorithm = (['sha1', 'md5'] as const).find((each) => (file.declared[each] ?? actual[each]) !== actual[each]);
  const settings = algorithm && settingsOf({ repo, repositoryOf }, file);
  // What an upstream says of what it sends is a question of the policy of the remote repository.
  if (!settings || settings['url'] !== undefined) return;
  if (settings['checksumPolicyType'] === 'server-generated-checksums') return;
  throw new AppError(
    'conflict',
    `"${clip(file.path, 300)}" is not given, since its ${algorithm} checksum file says '${file.declared[algorithm]}' but its bytes have '${actual[algorithm]}'. Put the right checksum file, or the file once more.`,
  );
}

function settingsOf(
  { repo, repositoryOf }: Pick<ContentRequest, 'repo' | 'repositoryOf'>,
  file: Asset,
): Repository['settings'] | undefined {
  return (file.repo === repo.key ? repo : repositoryOf(file.repo))?.settings;
}

/** Clients that deploy checksum files mean to have them verified. */
export async function putSidecar(request: ContentRequest, { of: named, algorithm }: Sidecar): Promise<Reply> {
  const { repo, exchange, plain, format, looking } = request;
  const received = await readChecksum(request, named);
  const { children, settings } = repo;
  const settled = await format?.settle?.(named, { settings, children, stored: true });
  const of = settled?.path ?? named;
  const file = repo.allows('read', of) ? await repo.get(of) : undefined;
  // One that was computed late is computed now, where the caller may read it.
  await file?.checksums();
  const strongest = algorithm === 'sha512' && file ? await sha512Of(file, looking) : undefined;
  const isCompared = settings['checksumPolicyType'] !== 'server-generated-checksums';
  const kept = algorithm === 'sha512' ? 'sha256' : algorithm;
  const keepsWrong = isCompared && format?.clientChecksums === true && isChecksum(received, kept);
  const { declared, isFolder } = await repo.change(of, async (tree) => ({
    declared: await tree.declare(of, { algorithm: kept, hex: received, keepsWrong }),
    isFolder: (await tree.get(of))?.folder === true,
  }));
  // Nothing keeps this one, so who may not read the file is believed.
  const actual = declared === undefined || algorithm !== 'sha512' ? declared : (strongest ?? received);
  if (isFolder) throw new AppError('conflict', `"${clip(of, 300)}" is a folder, which has no checksum.`);
  if (actual === undefined) {
    throw new AppError('not_found', `Target file to set checksum on doesn't exist: ${repo.key}:${clip(of, 300)}`);
  }
  if (actual !== received && isCompared) {
    const shown = repo.allows('read', of) ? actual : 'another';
    throw new AppError(
      'conflict',
      `Checksum error for '${clip(plain.path, 300)}': received '${clip(received)}' but actual is '${shown}'`,
    );
  }
  return { status: 201, headers: { Location: uriOf({ exchange, repo }, plain.path) } };
}

/** Computed where it is asked for: of the bytes the store knows other names. */
async function sha512Of(of: Asset, looking: Turnstile): Promise<string> {
  const known = computed.get(of.sha256);
  if (known !== undefined) return known;
  return looking.pass(async () => {
    const hash = createHash('sha512');
    if (of.content.inline) hash.update(of.content.inline);
    else await of.content.pump(undefined, async (chunk) => void hash.update(chunk));
    const value = hash.digest('hex');
    computed.set(of.sha256, value);
    return value;
  });
}

async function readChecksum({ exchange }: ContentRequest, of: RepoPath): Promise<string> {
  try {
    const body = await readAll(exchange.body(), { limit: MAX_BYTES, what: 'checksum file' });
    return body.toString('utf8').trim().split(/\s/, 1)[0]?.toLowerCase() ?? '';
  } catch (error) {
    if (!isAppError(error, 'too_large')) throw error;
    throw new AppError('conflict', `The body is too long to be a checksum of "${clip(of, 300)}".`);
  }
}
