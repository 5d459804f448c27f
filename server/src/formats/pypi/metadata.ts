/** What a distribution says of itself: METADATA of wheels, PKG-INFO of the others. */
import { AppError } from '../../core/errors.ts';

/** The fields by their names in lower case, each with its values in their order, and the description. */
export interface CoreMetadata {
  readonly fields: ReadonlyMap<string, readonly string[]>;
  readonly description: string;
}

/** Larger ones are nobody's; the largest in use are long readmes. */
export const MAX_METADATA_BYTES = 4 * 1024 * 1024;
const MAX_FIELDS = 8192;

/** Reads headers as in mail, with a body that is the description. Throws `invalid` for what is no such text. */
export function parseMetadata(bytes: Buffer): CoreMetadata {
  const text = bytes.toString('utf8');
  const end = /\r?\n\r?\n/.exec(text);
  const head = end ? text.slice(0, end.index) : text;
  const body = end ? text.slice(end.index + end[0].length) : '';
  const fields = new Map<string, string[]>();
  let count = 0;
  let current: string[] | undefined;
  for (const line of head.split(/\r?\n/)) {
    if (/^[ \t]/.test(line) && current) {
      current.push(`${current.pop() ?? ''}\n${line.replace(/^(?: {7}\|| {8}|[ \t]+)/, '')}`);
      continue;
    }
    const colon = line.indexOf(':');
    if (line === '') continue;
    if (colon <= 0) throw new AppError('invalid', 'Its metadata has a line that is no "Name: value".');
    count += 1;
    if (count > MAX_FIELDS) throw new AppError('invalid', `Its metadata has more than ${MAX_FIELDS} fields.`);
    const name = line.slice(0, colon).trim().toLowerCase();
    current = fields.get(name) ?? [];
    current.push(line.slice(colon + 1).trim());
    fields.set(name, current);
  }
  const written = fields.get('description')?.[0];
  return { fields, description: body.trim() === '' ? (written ?? '') : body };
}

/** The first value of a field; undefined also for those that say nothing. */
export function fieldOf({ fields }: CoreMetadata, name: string): string | undefined {
  const value = fields.get(name)?.[0]?.trim();
  return value === undefined || value === '' || value === 'UNKNOWN' ? undefined : value;
}

export function fieldsOf({ fields }: CoreMetadata, name: string): readonly string[] {
  return fields.get(name) ?? [];
}
