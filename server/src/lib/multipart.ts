/** Forms with files (RFC 7578), read as they come: fields are held within limits, files are streamed and never held. */
import type { Readable } from 'node:stream';
import { Busboy, type BusboyInstance } from '@fastify/busboy';

export interface FormLimits {
  readonly maxParts: number;
  /** Bytes of all fields together. */
  readonly maxFieldBytes: number;
}

export interface FormFile {
  /** Of the field. */
  readonly field: string;
  /** As the client wrote it: it can say anything. */
  readonly filename: string;
  /** Has to be read to its end, or destroyed. */
  readonly bytes: Readable;
}

/** Something is wrong with the form; the message is a sentence. */
export class FormProblem extends Error {
  readonly tooLarge: boolean;

  constructor(message: string, options: { readonly tooLarge?: boolean } = {}) {
    super(message);
    this.tooLarge = options.tooLarge ?? false;
  }
}

/** Hands the chunks of a body to `take`, waiting for it; resolves with why the sender left, where it did. */
export type Drain = (take: (chunk: Buffer) => Promise<void> | undefined) => Promise<unknown>;

const MAX_BOUNDARY = 70;
const MAX_PART_HEADERS = 16 * 1024;

/**
 * Reads a form. `onFile` is called for each file with the fields before it, one at a time: what follows a file is read
 * when its promise settled. Rejects with what `onFile` rejects with, with a FormProblem, or with why the sender left.
 */
export async function readForm(
  contentType: string,
  {
    limits,
    drain,
    onFile,
  }: { limits: FormLimits; drain: Drain; onFile(file: FormFile, fields: FormFields): Promise<void> },
): Promise<FormFields> {
  const fields = new FormFields();
  const parser = parserOf(contentType, limits);
  const over = Promise.withResolvers<void>();
  let failure: { readonly error: unknown } | undefined;
  /** The chunk that is being taken waits no longer once all has failed. */
  let giveUp: (error: unknown) => void = () => undefined;
  const fail = (error: unknown) => {
    failure ??= { error };
    giveUp(failure.error);
    over.reject(failure.error);
  };
  let working: Promise<void> = Promise.resolve();
  let open: Readable | undefined;
  let fieldBytes = 0;
  parser.on('field', (name, value, nameTruncated, truncated) => {
    fieldBytes += Buffer.byteLength(value) + name.length;
    if (truncated || nameTruncated || fieldBytes > limits.maxFieldBytes) {
      const message = `The fields of the form are longer than ${limits.maxFieldBytes} bytes.`;
      fail(new FormProblem(message, { tooLarge: true }));
    } else fields.add(name, value);
  });
  parser.on('file', (field, bytes, filename) => {
    // Its trouble reaches whoever reads it; before that nobody listens.
    bytes.on('error', () => undefined);
    open = bytes;
    const before = fields.copy();
    working = working.then(() => onFile({ field, filename, bytes }, before));
    working.catch(fail);
  });
  parser.on('partsLimit', () => {
    fail(new FormProblem(`The form has more than ${limits.maxParts} parts.`, { tooLarge: true }));
  });
  parser.on('error', () => fail(new FormProblem('The form is damaged, or was cut short.')));
  parser.on('finish', over.resolve);
  const take = (chunk: Buffer): Promise<void> => {
    if (failure) return Promise.reject(failure.error);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    giveUp = reject;
    // Called when whoever reads the file has room again.
    parser.write(chunk, (error) => (error ? reject(new FormProblem('The form is damaged.')) : resolve()));
    return promise;
  };
  try {
    const ended = Promise.all([over.promise, whenDrained(drain(take), parser)]);
    await ended;
    await working;
    return fields;
  } catch (error) {
    fail(error);
    open?.destroy(error instanceof Error ? error : new Error('the form was given up', { cause: error }));
    // What was begun with the file is undone before anybody is answered.
    await working.catch(() => undefined);
    throw failure?.error ?? error;
  }
}

async function whenDrained(drained: Promise<unknown>, parser: BusboyInstance): Promise<void> {
  const left = await drained;
  if (left !== undefined) throw left;
  parser.end();
}

export class FormFields {
  readonly #values = new Map<string, string[]>();

  add(name: string, value: string): void {
    const values = this.#values.get(name);
    if (values) values.push(value);
    else this.#values.set(name, [value]);
  }

  /** As they are now. */
  copy(): FormFields {
    const copied = new FormFields();
    for (const [name, values] of this.#values) copied.#values.set(name, [...values]);
    return copied;
  }

  get(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }
}

function parserOf(contentType: string, limits: FormLimits): BusboyInstance {
  const boundary = /;\s*boundary=(?:"([^"]*)"|([^\s;]*))/i.exec(contentType);
  const mark = boundary?.[1] ?? boundary?.[2] ?? '';
  if (!/^multipart\/form-data\s*(;|$)/i.test(contentType)) {
    throw new FormProblem('The request has no form: its Content-Type must be multipart/form-data.');
  }
  if (mark === '' || mark.length > MAX_BOUNDARY) {
    throw new FormProblem(`The form needs a boundary of 1 to ${MAX_BOUNDARY} characters in its Content-Type.`);
  }
  return new Busboy({
    headers: { 'content-type': contentType },
    preservePath: true,
    isPartAFile: (_field: string | undefined, _type: string | undefined, filename: string | undefined) =>
      filename !== undefined,
    limits: {
      parts: limits.maxParts,
      fieldSize: limits.maxFieldBytes,
      fieldNameSize: 200,
      headerPairs: 50,
      headerSize: MAX_PART_HEADERS,
    },
  });
}
