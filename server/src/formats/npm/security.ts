/** Advisories, signing keys and attestations. */
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import { parseJson } from '../../lib/json.ts';
import { unknownVersion } from './errors.ts';
import { attestationsPath, isVersion, parseName } from './names.ts';
import { recordOf } from './release.ts';

const MAX_AUDIT = 16 * 1024 * 1024;
const MAX_NAMES = 50_000;
const MAX_DEPTH = 1000;

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
  const bytes = await readAll(decoded(request), { limit: MAX_AUDIT, what: 'list of packages' });
  const parsed = parseJson(bytes, { maxDepth: MAX_DEPTH });
  if ('problem' in parsed) throw new AppError('invalid', `The list of packages cannot be read: ${parsed.problem}.`);
  const list = recordOf(parsed.value);
  if (Object.keys(list).length > MAX_NAMES) {
    throw new AppError('too_large', `More than ${MAX_NAMES} packages cannot be looked at in one request.`);
  }
  return list;
}

/** Clients compress what they send here, and nowhere else. */
function decoded(request: ProtocolRequest): Readable {
  const coding = (request.headers['content-encoding'] ?? 'identity').toLowerCase();
  const body = request.encodedBody;
  if (coding === 'identity') return body;
  if (coding !== 'gzip')
    throw new AppError('invalid', `The coding "${clip(coding)}" is not understood: send gzip.`, { status: 415 });
  const gunzip = createGunzip();
  body.once('error', (error) => gunzip.destroy(error));
  const whole = body.pipe(gunzip);
  gunzip.on('error', () => body.unpipe(gunzip));
  return whole;
}

/** The keys with which the upstream signs; none where nothing is signed, which clients take for an answer. */
export async function getKeys(_request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const held = await repo.document('keys', 'keys');
  if (!held) throw new AppError('not_found', 'The packages of this registry are not signed, so there are no keys.');
  return { status: 200, json: await held.read() };
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
