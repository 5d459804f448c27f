/** Archives made in code, well formed and not. */
import { pack } from 'tar-stream';
import { ZipFile } from 'yazl';

export type Files = Readonly<Record<string, Buffer | string>>;

export async function zipOf(files: Files): Promise<Buffer> {
  const zip = new ZipFile();
  for (const [name, bytes] of Object.entries(files)) zip.addBuffer(Buffer.from(bytes), name);
  zip.end();
  return gather(zip.outputStream as unknown as AsyncIterable<Buffer>);
}

/** A zip that lists its one empty file very often, each time by another name. */
export async function zipListing(count: number): Promise<Buffer> {
  const name = (index: number) => `${String(index).padStart(8, '0')}.class`;
  const zip = await zipOf({ [name(0)]: '' });
  const start = zip.indexOf(Buffer.from([0x50, 0x4b, 0x01, 0x02]));
  const end = zip.indexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
  const records = Array.from({ length: count }, (_, index) => {
    const record = Buffer.from(zip.subarray(start, end));
    record.write(name(index), record.indexOf(name(0)));
    return record;
  });
  const closing = Buffer.from(zip.subarray(end));
  closing.writeUInt16LE(count, 8);
  closing.writeUInt16LE(count, 10);
  closing.writeUInt32LE((end - start) * count, 12);
  return Buffer.concat([zip.subarray(0, start), ...records, closing]);
}

/** A zip with a link in it. */
export async function zipWithLink(name: string, target: string): Promise<Buffer> {
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from(target), name, { mode: 0o120777 });
  zip.end();
  return gather(zip.outputStream as unknown as AsyncIterable<Buffer>);
}

/** A zip whose one file has a name that no honest program writes. */
export async function zipNamed(name: string, bytes: Buffer | string = 'evil'): Promise<Buffer> {
  const honest = 'N'.repeat(Buffer.byteLength(name));
  const zip = await zipOf({ [honest]: bytes });
  return Buffer.from(zip.toString('latin1').replaceAll(honest, Buffer.from(name).toString('latin1')), 'latin1');
}

/** A zip that says it is encrypted. */
export async function zipEncrypted(): Promise<Buffer> {
  const zip = await zipOf({ secret: 'secret' });
  const directory = zip.indexOf(Buffer.from([0x50, 0x4b, 0x01, 0x02]));
  zip.writeUInt16LE(zip.readUInt16LE(directory + 8) | 1, directory + 8);
  zip.writeUInt16LE(zip.readUInt16LE(6) | 1, 6);
  return zip;
}

/** Entries in this order; names may come twice. */
export async function tarOf(
  entries: Files | readonly { readonly name: string; readonly link?: string; readonly bytes?: Buffer | string }[],
): Promise<Buffer> {
  const tar = pack();
  const list = Array.isArray(entries)
    ? (entries as readonly { name: string; link?: string; bytes?: Buffer | string }[])
    : Object.entries(entries as Files).map(([name, bytes]) => ({ name, bytes, link: undefined }));
  for (const { name, link, bytes = '' } of list) {
    if (link !== undefined) tar.entry({ name, type: 'symlink', linkname: link });
    else tar.entry({ name }, Buffer.from(bytes));
  }
  tar.finalize();
  return gather(tar as unknown as AsyncIterable<Buffer>);
}

async function gather(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(chunks));
}
