/** Looking into distributions: what they say of themselves, and whether they are what their names say. */
import { createHash } from 'node:crypto';
import { AppError } from '../../core/errors.ts';
import { clip, type Sha256 } from '../../core/ids.ts';
import { readArchive } from '../../lib/archives/archive.ts';
import { type ArchiveEntry, type ArchiveLimits, ArchiveProblem, type ByteSource } from '../../lib/archives/budget.ts';
import { checkZip } from '../../lib/archives/zip-check.ts';
import { type CoreMetadata, fieldOf, MAX_METADATA_BYTES, parseMetadata } from './metadata.ts';
import { type DistributionName, normalizeName } from './names.ts';
import { isSameVersion } from './versions.ts';

export interface Distribution {
  readonly metadata: CoreMetadata;
  /** Of the bytes of METADATA, for wheels: clients are given these bytes by themselves. */
  readonly metadataSha256: Sha256 | undefined;
}

const LIMITS: ArchiveLimits = { maxEntries: 100_000, maxTotalBytes: 512 * 1024 * 1024, maxRatio: 50 };
const GZIP = [0x1f, 0x8b];
const ZIP = [0x50, 0x4b, 0x03, 0x04];

/** Reads and checks a distribution. Throws `invalid` with a sentence about what is wrong with it. */
export async function readDistribution(name: DistributionName, source: ByteSource): Promise<Distribution> {
  try {
    const found = await readByKind(name, source);
    requireSelf(name, found.metadata);
    return found;
  } catch (error) {
    if (error instanceof ArchiveProblem) throw refusal(name, error.message);
    throw error;
  }
}

/** The bytes of a wheel's METADATA. */
export async function readWheelMetadata(name: DistributionName, source: ByteSource): Promise<Buffer | undefined> {
  for await (const entry of readArchive('zip', source, LIMITS)) {
    if (isMetadataOf(name, entry.name)) return bytesOf(entry);
  }
  return undefined;
}

async function readByKind(name: DistributionName, source: ByteSource): Promise<Distribution> {
  const isZip = name.kind !== 'sdist' || /\.zip$/i.test(name.filename);
  const isTar = /\.(tar\.gz|tgz|tar)$/i.test(name.filename);
  if (!isZip && !isTar) throw new ArchiveProblem('archives of this kind are not read; use .tar.gz or .whl');
  const head = await headOf(source);
  const wanted = isZip ? ZIP : /\.tar$/i.test(name.filename) ? [] : GZIP;
  if (wanted.some((byte, i) => head[i] !== byte)) {
    throw new ArchiveProblem(isZip ? 'it is no zip file' : 'it is not compressed with gzip');
  }
  if (isZip) await checkZip(source, LIMITS);
  if (name.kind === 'wheel') return readWheel(name, source);
  return name.kind === 'egg' ? readEgg(source) : readSdist(name, source, isZip);
}

async function readWheel(name: DistributionName, source: ByteSource): Promise<Distribution> {
  let bytes: Buffer | undefined;
  let wheel = false;
  let folder: string | undefined;
  for await (const entry of readArchive('zip', source, LIMITS)) {
    const [first = '', second, ...deeper] = entry.name.split('/');
    if (!/\.dist-info$/i.test(first)) continue;
    if (folder !== undefined && folder !== first) throw new ArchiveProblem('it has two folders ".dist-info"');
    folder = first;
    if (deeper.length > 0 || entry.type !== 'file') continue;
    if (second === 'WHEEL') wheel = true;
    if (second === 'METADATA' && isMetadataOf(name, entry.name)) bytes = await bytesOf(entry);
  }
  if (!wheel) throw new ArchiveProblem('it has no file "WHEEL" in its folder ".dist-info"');
  if (!bytes) {
    const { project, version } = name.spelled;
    throw new ArchiveProblem(`it has no file "${project}-${version}.dist-info/METADATA"`);
  }
  return { metadata: parsed(bytes), metadataSha256: createHash('sha256').update(bytes).digest('hex') as Sha256 };
}

function isMetadataOf(name: DistributionName, entryName: string): boolean {
  const [, project, version] = /^([^/]+)-([^/-]+)\.dist-info\/METADATA$/.exec(entryName) ?? [];
  if (project === undefined || version === undefined || normalizeName(project) !== name.project) return false;
  return isSameVersion(version.replaceAll('_', '-'), name.version) || version === name.spelled.version;
}

/** PKG-INFO lies in the one folder that holds all; what lies deeper belongs to something that was packed with it. */
async function readSdist(name: DistributionName, source: ByteSource, isZip: boolean): Promise<Distribution> {
  const kind = isZip ? 'zip' : /\.tar$/i.test(name.filename) ? 'tar' : 'tar.gz';
  for await (const entry of readArchive(kind, source, LIMITS)) {
    const [folder = '', file, ...deeper] = entry.name.replace(/^(?:\.\/)+/, '').split('/');
    if (file !== 'PKG-INFO' || deeper.length > 0 || entry.type !== 'file') continue;
    const [, project = ''] = /^(.+)-[^-]+$/.exec(folder) ?? [];
    if (!name.filename.startsWith(folder) && normalizeName(project) !== name.project) continue;
    return { metadata: parsed(await bytesOf(entry)), metadataSha256: undefined };
  }
  const { project, version } = name.spelled;
  throw new ArchiveProblem(`it has no file "${project}-${version}/PKG-INFO"`);
}

async function readEgg(source: ByteSource): Promise<Distribution> {
  for await (const entry of readArchive('zip', source, LIMITS)) {
    if (entry.name !== 'EGG-INFO/PKG-INFO' || entry.type !== 'file') continue;
    return { metadata: parsed(await bytesOf(entry)), metadataSha256: undefined };
  }
  throw new ArchiveProblem('it has no file "EGG-INFO/PKG-INFO"');
}

function parsed(bytes: Buffer): CoreMetadata {
  try {
    return parseMetadata(bytes);
  } catch (error) {
    throw error instanceof AppError ? new ArchiveProblem(lowered(error.message)) : error;
  }
}

/** What is inside must be what the name of the file says. */
function requireSelf(name: DistributionName, metadata: CoreMetadata): void {
  const project = fieldOf(metadata, 'name');
  const version = fieldOf(metadata, 'version');
  if (project === undefined || version === undefined) throw refusal(name, 'its metadata has no Name or no Version');
  if (normalizeName(project) !== name.project) {
    throw refusal(name, `its metadata says that it is of the project "${clip(project)}"`);
  }
  if (!isSameVersion(version, name.version)) {
    throw refusal(name, `its metadata says that its version is "${clip(version)}", which its name does not say`);
  }
}

async function bytesOf(entry: ArchiveEntry): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of await entry.open()) {
    size += chunk.length;
    if (size > MAX_METADATA_BYTES) throw new ArchiveProblem(`its metadata is larger than ${MAX_METADATA_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function headOf(source: ByteSource): Promise<Buffer> {
  if (source.size < ZIP.length) throw new ArchiveProblem('it is empty');
  return Buffer.concat(await Array.fromAsync(await source.open({ start: 0, end: ZIP.length - 1 })));
}

function refusal({ filename }: DistributionName, problem: string): AppError {
  return new AppError('invalid', `The file "${clip(filename)}" is not valid: ${problem.replace(/\.$/, '')}.`);
}

function lowered(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1).replace(/\.$/, '');
}
