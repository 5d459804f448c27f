/** Whether the bytes that came are those that were meant. */
import type { IncomingHttpHeaders } from 'node:http';
import { readAll } from '../../core/bodies.ts';
import type { Digest, RepoKey } from '../../core/ids.ts';
import type { DeclaredChecksums } from '../../core/repository.ts';
import type { Ask, Upstream } from '../../core/upstream.ts';
import type { HashAlgorithm, Hashes } from '../../lib/hashes.ts';
import { declaredIn, type UpstreamChecksums } from './answers.ts';
import type { ChecksumPolicy } from './settings.ts';
import { wrong } from './transfer.ts';

export interface VerifyOptions {
  readonly repo: RepoKey;
  readonly upstream: Upstream;
  readonly ask: Ask;
  readonly headers: IncomingHttpHeaders;
  /** Names of the bytes that were known before they came. */
  readonly digests: readonly Digest[];
  readonly policy: ChecksumPolicy;
  readonly signal: AbortSignal;
}

const SUM_BYTES = 4096;

/** Which hashes the bytes are compared by. */
export function algorithmsFor(digests: readonly Digest[]): HashAlgorithm[] {
  return digests.length > 0 ? ['sha256', ...digests.map(({ algorithm }) => algorithm)] : ['sha256', 'sha1', 'md5'];
}

/** Throws `upstream_failed` for other bytes; returns what the upstream declared, to be kept with the file. */
export async function verify(hashes: Hashes, options: VerifyOptions): Promise<DeclaredChecksums> {
  const values = hashes.values();
  const { repo, digests, policy, headers } = options;
  for (const { algorithm, hex } of digests) {
    const actual = values[algorithm];
    if (actual !== hex) throw wrong(repo, `sent bytes with the ${algorithm} digest ${actual}, not ${hex}`);
  }
  if (policy === 'ignore-and-generate' || digests.length > 0) return {};
  let declared = declaredIn(headers);
  if (isEmpty(declared) && policy === 'fail') declared = await siblingsOf(options);
  if (isEmpty(declared) && policy === 'fail') {
    throw wrong(repo, 'has no checksum of the file, which the checksum policy of the repository asks for,');
  }
  if (policy !== 'pass-thru') {
    for (const [algorithm, claimed] of Object.entries(declared) as [HashAlgorithm, string | undefined][]) {
      const actual = values[algorithm];
      if (claimed !== undefined && actual !== undefined && actual !== claimed) {
        throw wrong(repo, `declares the ${algorithm} checksum ${claimed} but sent bytes with ${actual}`);
      }
    }
  }
  return { sha1: declared.sha1, md5: declared.md5 };
}

function isEmpty({ sha256, sha1, md5 }: UpstreamChecksums): boolean {
  return sha256 === undefined && sha1 === undefined && md5 === undefined;
}

/** The checksums that lie beside the file, as repositories of Maven have them. */
async function siblingsOf({ upstream, ask, signal }: VerifyOptions): Promise<UpstreamChecksums> {
  if (ask.link) return {};
  for (const [algorithm, length] of [
    ['sha1', 40],
    ['md5', 32],
  ] as const) {
    const answer = await upstream.request({ ...ask, method: 'GET', path: `${ask.path}.${algorithm}`, signal });
    if (answer.status !== 200) {
      answer.body.destroy();
      continue;
    }
    const bytes = await readAll(answer.body, { limit: SUM_BYTES, what: 'checksum file' });
    const [hex] = /\b[0-9a-f]{32,64}\b/i.exec(bytes.toString('latin1')) ?? [];
    if (hex?.length === length) return { [algorithm]: hex.toLowerCase() };
  }
  return {};
}
