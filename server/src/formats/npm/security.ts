/** Advisories, signing keys and attestations. */
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { readAll } from '../../core/bodies.ts';
import { remoteKeyOf } from '../../core/cache-keys.ts';
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Repository } from '../../core/repository.ts';
import { parseJson } from '../../lib/json.ts';
import { unknownVersion } from './errors.ts';
import { attestationsPath, isVersion, parseName } from './names.ts';
import { recordOf } from './release.ts';
import type { Keys } from './upstream.ts';

const MAX_AUDIT = 16 * 1024 * 1024;
const MAX_NAMES = 50_000;
const MAX_DEPTH = 1000;
/** Versions of one name that are looked for here. */
const MAX_LOOKED_AT = 20;
const MAX_TREE = 100;
const AT_ONCE = 50;
const WHAT = 'list of packages';

const unpack = promisify(gunzip);

type Json = Readonly<Record<string, unknown>>;

/**
 * Names with the versions that a client has of them. An upstream is asked about those that are not of this server; an
 * empty answer says that nothing is known of any.
 */
export async function auditBulk(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const asked = Object.entries(await readAudit(request));
  const open: [string, unknown][] = [];
  for (const [i, [name, versions]] of asked.entries()) {
    if (i % AT_ONCE === 0) await turn();
    if (!(await isOwn(repo, name, Array.isArray(versions) ? versions : []))) open.push([name, versions]);
  }
  if (open.length === 0) return { status: 200, json: {} };
  const answer = await consult(repo, '-/npm/v1/security/advisories/bulk', Object.fromEntries(open), request);
  return { status: 200, json: answer ?? {} };
}

/** The older form: a whole tree comes, and the answer counts what is in it. */
export async function auditQuick(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const tree = await readAudit(request);
  const dependencies = await withoutOwn(repo, recordOf(tree['dependencies']));
  const question = { ...tree, name: 'audited', version: '0.0.0', requires: requiresOf(dependencies), dependencies };
  const answer = await consult(repo, '-/npm/v1/security/audits/quick', question, request);
  return { status: 200, json: answer ?? nothingKnown(Object.keys(recordOf(tree['dependencies'])).length) };
}

function nothingKnown(dependencies: number) {
  return {
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
  };
}

/** The answer of the first upstream, which is the caller's alone; undefined where there is no upstream. */
async function consult(
  repo: Repository,
  path: string,
  question: unknown,
  { signal }: ProtocolRequest,
): Promise<unknown> {
  const answer = await repo.consult({
    path,
    headers: { Accept: 'application/json', 'Content-Type': 'application/json' },
    body: Buffer.from(JSON.stringify(question)),
    maxBytes: MAX_AUDIT,
    signal,
  });
  if (!answer) return undefined;
  const parsed = parseJson(answer.bytes, { maxDepth: MAX_DEPTH });
  if (answer.status === 200 && 'value' in parsed) return parsed.value;
  throw new AppError('upstream_failed', `The upstream could not tell of advisories: it answered ${answer.status}.`);
}

/** Whether one of the versions was published here: names of one's own are nobody else's business. */
async function isOwn(repo: Repository, name: string, versions: readonly unknown[]): Promise<boolean> {
  for (const version of versions.slice(0, MAX_LOOKED_AT)) {
    if (typeof version !== 'string' || !isVersion(version)) continue;
    const held = await repo.version(name, version);
    if (held && remoteKeyOf(held.repo) === undefined) return true;
  }
  return false;
}

/** A tree of dependencies without those that were published here, at any depth. */
async function withoutOwn(repo: Repository, tree: Json, depth = 0): Promise<Json> {
  const kept: [string, unknown][] = [];
  for (const [name, value] of Object.entries(tree)) {
    await turn();
    const entry = recordOf(value);
    if (depth > MAX_TREE || (await isOwn(repo, name, [entry['version']]))) continue;
    const inner = await withoutOwn(repo, recordOf(entry['dependencies']), depth + 1);
    const { version, integrity, dev, optional, bundled } = entry;
    kept.push([name, { version, integrity, dev, optional, bundled, dependencies: inner }]);
  }
  return Object.fromEntries(kept);
}

function requiresOf(dependencies: Json): Json {
  return Object.fromEntries(Object.entries(dependencies).map(([name, value]) => [name, recordOf(value)['version']]));
}

async function readAudit(request: ProtocolRequest): Promise<Json> {
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
