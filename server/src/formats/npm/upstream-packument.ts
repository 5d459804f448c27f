/** Reads the document that an upstream has of a package, version by version; large ones in a thread (upstream-reading.ts). */
import { deflateRawSync } from 'node:zlib';
import { AppError } from '../../core/errors.ts';
import { clip, parseRepoPath, type RepoPath } from '../../core/ids.ts';
import { JsonMembers } from '../../lib/json-members.ts';
import { readTarballPath, tarballPath } from './names.ts';
import type { Release } from './packument.ts';
import { manifestParts, members, recordOf } from './release.ts';

const MAX_README = 64 * 1024;
const PROVENANCE = 'https://slsa.dev/provenance/v1';
/** Taking on so much takes others a fraction of a millisecond. */
const BATCH_BYTES = 256 * 1024;
const BATCH_TIMES = 1000;
const FASTEST = 1;

type Json = Readonly<Record<string, unknown>>;

/** What was asked for, and the link that was asked, or the upstream's URL. */
export interface PackumentOrigin {
  readonly name: string;
  readonly base: string;
}

/** A version, but for its texts, and for its time, which comes apart. */
export interface ReleaseFacts extends Omit<Release, 'full' | 'short' | 'dist' | 'time'> {
  /** Of the texts, in bytes. */
  readonly lengths: { readonly full: number; readonly short: number; readonly dist: number };
}

/** Versions with their texts, each kind behind one another. */
export interface ReleasesPart {
  readonly releases: readonly ReleaseFacts[];
  /** `short` and `dist` of each. */
  readonly texts: Uint8Array<ArrayBuffer>;
  /** `full` of each, deflated: it is most of a document, and few ask for it. */
  readonly full: Uint8Array<ArrayBuffer>;
}

/** What is said of the package, but for its versions and their times. */
export interface PackumentHead {
  readonly name: unknown;
  readonly tags: readonly (readonly [tag: string, version: string])[];
  readonly created: string | undefined;
  readonly modified: string | undefined;
  readonly maintainers: readonly unknown[];
  readonly readme: string | undefined;
  readonly readmeFilename: string | undefined;
  readonly rev: string | undefined;
}

/** Versions come first, then their times, and the rest last. */
export type PackumentPart =
  | ReleasesPart
  | { readonly times: readonly (readonly [version: string, time: string])[] }
  | { readonly head: PackumentHead };

/** Throws `invalid` for what is no JSON object. */
export function readPackument(
  bytes: Buffer,
  { name, base }: PackumentOrigin,
  hand: (part: PackumentPart) => void,
): void {
  const origin = { name, base: new URL(base) };
  let batch = new Batch();
  const flush = () => {
    if (batch.size > 0) hand(batch.part());
    batch = new Batch();
  };
  const doc = readMembers(bytes, name, (version, manifest) => {
    batch.add(version, recordOf(manifest), origin);
    if (batch.size >= BATCH_BYTES) flush();
  });
  flush();
  const { created, modified, ...times } = recordOf(doc['time']);
  handTimes(times, hand);
  hand({ head: headOf(doc, { created, modified }) });
}

/** The members of the document but for its versions, which are handed on one by one. */
function readMembers(bytes: Buffer, name: string, take: (version: string, manifest: unknown) => void): Json {
  const doc: Record<string, unknown> = Object.create(null);
  try {
    const members = new JsonMembers(bytes);
    for (let key = members.next(); key !== undefined; key = members.next()) {
      const versions = key === 'versions' ? members.members() : undefined;
      if (!versions) {
        doc[key] = members.value();
        continue;
      }
      for (let version = versions.next(); version !== undefined; version = versions.next()) {
        take(version, versions.value());
      }
    }
    return doc;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new AppError('invalid', `The document of "${clip(name)}" is not a JSON object.`);
  }
}

function handTimes(times: Json, hand: (part: PackumentPart) => void): void {
  let batch: [string, string][] = [];
  for (const version in times) {
    const time = timeOf(times[version]);
    if (time === undefined) continue;
    batch.push([version, time]);
    if (batch.length < BATCH_TIMES) continue;
    hand({ times: batch });
    batch = [];
  }
  if (batch.length > 0) hand({ times: batch });
}

function headOf(doc: Json, { created, modified }: Json): PackumentHead {
  const { name, maintainers, readme, readmeFilename } = doc;
  return {
    name,
    tags: Object.entries(recordOf(doc['dist-tags'])).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    ),
    created: timeOf(created),
    modified: timeOf(modified) ?? timeOf(doc['modified']),
    maintainers: Array.isArray(maintainers) ? maintainers : [],
    readme: typeof readme === 'string' ? readme.slice(0, MAX_README) : undefined,
    readmeFilename: textOf(readmeFilename),
    rev: textOf(doc['_rev']),
  };
}

class Batch {
  readonly #releases: ReleaseFacts[] = [];
  #texts = '';
  #full = '';

  /** Roughly, in bytes. */
  get size(): number {
    return this.#texts.length + this.#full.length;
  }

  /** Adds a version, unless nobody could find its tarball. */
  add(version: string, manifest: Json, { name, base }: { readonly name: string; readonly base: URL }): void {
    const { tarball, attestations, ...rest } = recordOf(manifest['dist']);
    const url = typeof tarball === 'string' ? URL.parse(tarball, base) : null;
    if (version === '__proto__' || (url?.protocol !== 'http:' && url?.protocol !== 'https:')) return;
    const place = placeOf(name, version, url, base);
    if (!place) return;
    const { deprecated } = manifest;
    const provenance = recordOf(recordOf(attestations)['provenance']);
    const { full, short } = manifestParts({ ...manifest, name, version });
    const dist = members(rest);
    const [fullLength, shortLength, distLength] = [full, short, dist].map((text) => Buffer.byteLength(text));
    this.#releases.push({
      version,
      ...place,
      deprecated: typeof deprecated === 'string' && deprecated !== '' ? deprecated : undefined,
      attested: attestations === undefined ? undefined : (textOf(provenance['predicateType']) ?? PROVENANCE),
      integrity: textOf(rest['integrity']),
      lengths: { full: fullLength ?? 0, short: shortLength ?? 0, dist: distLength ?? 0 },
    });
    this.#texts += short + dist;
    this.#full += full;
  }

  part(): ReleasesPart {
    return {
      releases: this.#releases,
      texts: apart(Buffer.from(this.#texts)),
      full: apart(deflateRawSync(this.#full, { level: FASTEST })),
    };
  }
}

/** The bytes in a buffer that holds nothing else, so that it can be handed over. */
function apart(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

/**
 * Where a tarball lies here: at the path it has below the upstream's address, also where that is on another host, since
 * lock files repeat it; otherwise where it belongs.
 */
function placeOf(
  name: string,
  version: string,
  url: URL,
  base: URL,
): { readonly path: RepoPath; readonly link?: string } | undefined {
  const folder = `${base.pathname.replace(/\/+$/, '')}/`;
  try {
    const below = url.host === base.host && url.search === '' && url.pathname.startsWith(folder);
    const path = below ? decodeURIComponent(url.pathname.slice(folder.length)) : '';
    if (path.endsWith('.tgz') && readTarballPath(path)?.name === name) return { path: parseRepoPath(path) };
    const tail = `${name}/-/${decodeURIComponent(url.pathname.slice(url.pathname.lastIndexOf('/') + 1))}`;
    const isUsual = decodeURIComponent(url.pathname).endsWith(`/${tail}`) && readTarballPath(tail)?.version === version;
    return { path: isUsual ? parseRepoPath(tail) : tarballPath(name, version), link: url.href };
  } catch {
    return undefined;
  }
}

function timeOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.length < 40 && !Number.isNaN(Date.parse(value)) && !/["\\]/.test(value)
    ? value
    : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, 1024) : undefined;
}
