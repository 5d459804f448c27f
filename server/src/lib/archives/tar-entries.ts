/** The entries of a tar file that is unpacked by whoever reads it, with all that their headers say. */
import type { Readable } from 'node:stream';
import { extract } from 'tar-stream';

export interface TarEntry {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly mode: number;
  /** Its bytes, which may be left unread. */
  readonly bytes: AsyncIterable<Buffer>;
}

/** Takes the bytes of the tar file; hands each entry on, and goes on once it is dealt with. */
export function tarEntries(take: (entry: TarEntry) => Promise<void>): {
  readonly input: NodeJS.WritableStream & { destroy(error?: Error): unknown };
  readonly done: Promise<void>;
} {
  const tar = extract();
  const read = async () => {
    for await (const entry of tar) {
      const { name, type, size = 0, mode = 0 } = entry.header;
      await take({ name, type: type ?? 'file', size, mode, bytes: entry as unknown as Readable });
      // What was read has ended; the rest must pass before the next entry comes.
      entry.resume();
    }
  };
  const done = read().catch((error: unknown) => {
    tar.destroy(error as Error);
    throw error;
  });
  done.catch(() => undefined);
  return { input: tar as unknown as NodeJS.WritableStream & { destroy(error?: Error): unknown }, done };
}
