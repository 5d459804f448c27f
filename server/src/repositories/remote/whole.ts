/** Small answers, which are read before anything is made of them. */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { readAll } from '../../core/bodies.ts';
import { isAppError } from '../../core/errors.ts';
import type { RepoKey } from '../../core/ids.ts';
import type { UpstreamAnswer } from '../../core/upstream.ts';
import { lengthOf } from './answers.ts';
import { wrong } from './transfer.ts';

const unzip = promisify(gunzip);

/** All of a small answer, decoded where it came encoded; refuses what is longer, or breaks off. */
export async function readWhole(repo: RepoKey, answer: UpstreamAnswer, maxBytes: number): Promise<Buffer> {
  const told = lengthOf(repo, answer.headers);
  const tooLong = () => wrong(repo, `has more than the ${maxBytes} bytes of it that are taken`);
  try {
    if (told !== undefined && told > maxBytes) throw tooLong();
    const bytes = await readAll(answer.body, { limit: maxBytes, what: 'document' });
    if (told !== undefined && told !== bytes.length) throw wrong(repo, `ended after ${bytes.length} of ${told} bytes`);
    const encoding = String(answer.headers['content-encoding'] ?? '').toLowerCase();
    if (encoding !== 'gzip' && encoding !== 'x-gzip') return bytes;
    return await unzip(bytes, { maxOutputLength: maxBytes }).catch(() => {
      throw wrong(repo, 'sent what cannot be decoded within the limit');
    });
  } catch (error) {
    answer.body.destroy();
    throw isAppError(error, 'too_large') ? tooLong() : error;
  }
}
