/** Reads what a package's tarball is: its package.json, its readme, and how much it unpacks to. */
import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { Content } from '../../core/repository.ts';
import { type TarEntry, tarEntries } from '../../lib/archives/tar-entries.ts';
import { parseJson } from '../../lib/json.ts';

export interface Tarball {
  readonly manifest: Readonly<Record<string, unknown>>;
  readonly sha1: string;
  /** As `dist.integrity` has it. */
  readonly integrity: string;
  readonly fileCount: number;
  readonly unpackedSize: number;
  readonly hasShrinkwrap: boolean;
  readonly hasGyp: boolean;
  readonly readme: { readonly name: string; readonly text: string } | undefined;
}

const MAX_ENTRIES = 100_000;
const MAX_UNPACKED = 4 * 1024 ** 3;
const MAX_PATH = 4096;
const MAX_MANIFEST = 4 * 1024 * 1024;
const MAX_README = 64 * 1024;
const SPECIAL_MODES = 0o6000;

/** Why a file is no package, as the end of a sentence. */
export class NotAPackage extends Error {}

/** Reads all of it; throws NotAPackage for what npm could not install. */
export async function readTarball(content: Content): Promise<Tarball> {
  const reader = new TarReader();
  const sha512 = createHash('sha512');
  const sha1 = createHash('sha1');
  const gunzip = createGunzip();
  const tar = tarEntries((entry) => reader.take(entry));
  const unpacking = pipeline(gunzip, tar.input);
  unpacking.catch(() => undefined);
  // A stream that has failed calls nobody back.
  const closed = new Promise<void>((resolve) => gunzip.once('close', resolve));
  try {
    await content.pump(undefined, async (chunk) => {
      sha512.update(chunk);
      sha1.update(chunk);
      if (gunzip.destroyed) return;
      const written = new Promise<void>((resolve) => {
        gunzip.write(chunk, () => resolve());
      });
      await Promise.race([written, closed]);
    });
    gunzip.end();
    await unpacking;
    await tar.done;
  } catch (error) {
    gunzip.destroy();
    tar.input.destroy();
    throw explained(reader.problem ?? error);
  }
  return reader.result({ sha1: sha1.digest('hex'), integrity: `sha512-${sha512.digest('base64')}` });
}

function explained(error: unknown): unknown {
  if (error instanceof NotAPackage) return error;
  const { code = '', message = '' } = error as { code?: string; message?: string };
  if (code.startsWith('Z_')) return new NotAPackage('it is not a gzip file, or it is damaged');
  if (/tar|header|end of data/i.test(message)) return new NotAPackage('what is in the gzip file is not a tar archive');
  return error;
}

class TarReader {
  problem: NotAPackage | undefined;
  #manifest: { readonly path: string; readonly value: Readonly<Record<string, unknown>> } | undefined;
  #readme: Tarball['readme'];
  #files = 0;
  #entries = 0;
  #size = 0;
  #shrinkwrap = false;
  #gyp = false;

  async take(entry: TarEntry): Promise<void> {
    try {
      await this.#take(entry);
    } catch (error) {
      if (error instanceof NotAPackage) this.problem = error;
      throw error;
    }
  }

  result(sums: { readonly sha1: string; readonly integrity: string }): Tarball {
    if (!this.#manifest) throw new NotAPackage('it has no package.json in its top folder');
    return {
      ...sums,
      manifest: this.#manifest.value,
      fileCount: this.#files,
      unpackedSize: this.#size,
      hasShrinkwrap: this.#shrinkwrap,
      hasGyp: this.#gyp,
      readme: this.#readme,
    };
  }

  async #take({ name, type, size, mode, bytes }: TarEntry): Promise<void> {
    this.#entries += 1;
    if (this.#entries > MAX_ENTRIES) throw new NotAPackage(`it holds more than ${MAX_ENTRIES} files`);
    if (name.length > MAX_PATH) throw new NotAPackage(`it holds a path longer than ${MAX_PATH} characters`);
    if (type !== 'file' && type !== 'contiguous-file' && type !== 'directory' && type !== 'symlink') {
      throw new NotAPackage(`it holds a ${type}, which no package can have`);
    }
    if ((mode & SPECIAL_MODES) !== 0 && type !== 'directory') {
      throw new NotAPackage('it holds a file that would run with the rights of its owner');
    }
    const [, inside = ''] = /^(?:\.\/)?[^/]+\/(.+)$/.exec(name) ?? [];
    if (inside === 'package.json' && type === 'symlink') throw new NotAPackage('its package.json is a link');
    if (type !== 'file' && type !== 'contiguous-file') return;
    this.#files += 1;
    this.#size += size;
    if (this.#size > MAX_UNPACKED) throw new NotAPackage(`it unpacks to more than ${MAX_UNPACKED} bytes`);
    if (inside === 'package.json') await this.#takeManifest(name, size, bytes);
    else if (inside === 'npm-shrinkwrap.json') this.#shrinkwrap = true;
    else if (inside === 'binding.gyp') this.#gyp = true;
    else if (!this.#readme && /^readme(\.(md|markdown|txt))?$/i.test(inside)) {
      this.#readme = { name: inside, text: (await gather(bytes, MAX_README)).toString('utf8') };
    }
  }

  async #takeManifest(path: string, size: number, entry: TarEntry['bytes']): Promise<void> {
    if (this.#manifest?.path === path) throw new NotAPackage('it holds two files "package.json"');
    if (this.#manifest) return;
    if (size > MAX_MANIFEST) throw new NotAPackage(`its package.json is larger than ${MAX_MANIFEST} bytes`);
    const bytes = await gather(entry, MAX_MANIFEST);
    const text = bytes.subarray(bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0);
    const parsed = parseJson(text, { maxDepth: 100, singleKeys: ['name', 'version'] });
    if ('problem' in parsed) throw new NotAPackage(`its package.json cannot be read: ${parsed.problem}`);
    const { value } = parsed;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new NotAPackage('its package.json is not an object');
    }
    this.#manifest = { path, value: value as Record<string, unknown> };
  }
}

/** The first bytes of an entry, all of which is read. */
async function gather(entry: TarEntry['bytes'], limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of entry) {
    if (size < limit) chunks.push(chunk.subarray(0, limit - size));
    size += chunk.length;
  }
  return Buffer.concat(chunks);
}
