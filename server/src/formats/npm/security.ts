/** Advisories, signing keys and attestations. */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import { parseJson } from '../../lib/json.ts';
import { unknownVersion } from './errors.ts';
import { attestationsPath, isVersion, parseName } from './names.ts';
import { recordOf } from './release.ts';
import type { Keys } from './upstream.ts';

const MAX_AUDIT = 16 * 1024 * 1024;
const MAX_NAMES = 50_000;
const MAX_DEPTH = 1000;
const WHAT = 'list of packages';

const unpack = promisify(gunzip);

/** Names with the versions that a client has of them; an empty answer says that nothing is known of any. */
export async function auditBulk(request: ProtocolRequest, _context: ProtocolContext): Promise<Reply> {
  await readAudit(request);
  return { status: 200, json: {} };
}

/** The older form: a whole tree comes, and the answer counts what is in it. */
export async function auditQuick(request: ProtocolRequest, _context: ProtocolContext): Promise<Reply> {
  const tree = await readAudit(request);
  const dependencies = Object.keys(recordOf(tree['dependencies'])).length;
  return {
    status: 200,
    json: {
      actions: [],
      advisories: {},
      muted: [],
      metadata: {
        vulnerabilities: { info: 0, low: 0, moderate: 0, high: 0, critical: 0 },
        dependencies,
        devDependencies: 0,
        optionalDependencies: 0,
        totalDependencies: dependencies,
      },
    },
  };
}

async function readAudit(request: ProtocolRequest): Promise<Readonly<Record<string, unknown>>> {
  const parsed = parseJson(await readBody(request), { maxDepth: MAX_DEPTH });
  if ('problem' in parsed) throw new AppError('invalid', `The ${WHAT} cannot be read: ${parsed.problem}.`);
  const list = recordOf(parsed.value);
  if (Object.keys(list).length > MAX_NAMES) {
    throw new AppError('too_large', `More than ${MAX_NAMES} packages cannot be looked at in one request.`);
  }
  return list;
}

/** Clients compress what they send here, and nowhere else. */
async function readBody(request: ProtocolRequest): Promise<Buffer> {
  const coding = (request.headers['content-encoding'] ?? 'identity').toLowerCase();
  if (coding !== 'identity' && coding !== 'gzip') {
    throw new AppError('invalid', `The coding "${clip(coding)}" is not understood: send gzip.`, { status: 415 });
  }
  const bytes = await readAll(request.encodedBody, { limit: MAX_AUDIT, what: WHAT });
  if (coding === 'identity') return bytes;
  try {
    return await unpack(bytes, { maxOutputLength: MAX_AUDIT });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') {
      throw new AppError('invalid', `The ${WHAT} is said to be compressed with gzip, but is not.`);
    }
    throw new AppError('too_large', `The ${WHAT} is larger than the limit of ${MAX_AUDIT} bytes.`);
  }
}

/** The keys with which the upstream signs; none where nothing is signed, which clients take for an answer. */
export async function getKeys(_request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const held = await repo.document('keys', 'keys');
  const { keys } = held ? ((await held.read()) as unknown as Keys) : { keys: [] };
  if (keys.length === 0) {
    throw new AppError('not_found', 'Not all packages of this registry are signed, so it names no keys.');
  }
  return { status: 200, json: { keys } };
}

/** What was attested of one version: `name@version`. */
export async function getAttestations(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const spec = request.params['spec'] ?? '';
  const at = spec.lastIndexOf('@');
  const name = parseName(spec.slice(0, Math.max(at, 0)));
  const version = spec.slice(at + 1);
  if (!isVersion(version)) throw unknownVersion(name, clip(version));
  const asset = await repo.serve({ path: attestationsPath(name, version) }, 'bytes');
  if (!asset) throw new AppError('not_found', `Nothing was attested of ${name}@${version}.`);
  return { asset, mediaType: 'application/json', uncounted: true };
}
