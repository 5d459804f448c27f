/** Checksums a client says its bytes have, in Artifactory's headers. */
import type { IncomingHttpHeaders } from 'node:http';
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';

type Algorithm = 'sha256' | 'sha1' | 'md5';
const LENGTHS: Readonly<Record<Algorithm, number>> = { sha256: 64, sha1: 40, md5: 32 };

/** `X-Checksum-Sha256`, `-Sha1`, `-Md5`, or a bare `X-Checksum` told apart by its length. */
export function claimedChecksums(headers: IncomingHttpHeaders): Partial<Record<Algorithm, string>> {
  const claimed: Partial<Record<Algorithm, string>> = {};
  for (const algorithm of Object.keys(LENGTHS) as Algorithm[]) {
    const value = headers[`x-checksum-${algorithm}`];
    if (value !== undefined) claimed[algorithm] = parse(String(value), algorithm);
  }
  const bare = headers['x-checksum'];
  if (bare !== undefined) {
    const text = String(bare);
    const algorithm = (Object.keys(LENGTHS) as Algorithm[]).find((name) => LENGTHS[name] === text.length);
    if (!algorithm) throw malformed('X-Checksum', text);
    claimed[algorithm] ??= parse(text, algorithm);
  }
  return claimed;
}

/** Whether the text can be a checksum of that kind, in small letters. */
export function isChecksum(text: string, algorithm: Algorithm): boolean {
  return text.length === LENGTHS[algorithm] && /^[0-9a-f]+$/.test(text);
}

function parse(text: string, algorithm: Algorithm): string {
  const value = text.trim().toLowerCase();
  if (!isChecksum(value, algorithm)) throw malformed(`X-Checksum-${algorithm}`, text);
  return value;
}

function malformed(header: string, text: string): AppError {
  return new AppError('invalid', `The header ${header} is "${clip(text)}", which is not a checksum in hex digits.`);
}
