/** Marks that tell where the next page begins. What stands in them is sealed: it may be of what the caller cannot see. */
import type { z } from 'zod';
import type { Secrets } from '../../auth/secrets.ts';
import { AppError } from '../../core/errors.ts';

const PURPOSE = 'page mark';
/** Longer than any that is given. */
const MAX_LENGTH = 4000;

export class PageMarks {
  readonly #secrets: Pick<Secrets, 'seal' | 'open'>;

  constructor(secrets: Pick<Secrets, 'seal' | 'open'>) {
    this.#secrets = secrets;
  }

  /** A mark that is good for the same list only. */
  render(list: string, value: unknown): string {
    return this.#secrets.seal(PURPOSE, JSON.stringify(value), list);
  }

  /** What the mark says; `invalid` for what this server did not give for this list. */
  read<T>(list: string, mark: string | undefined, schema: z.ZodType<T>): T | undefined {
    if (mark === undefined) return undefined;
    const parsed = schema.safeParse(this.#open(list, mark));
    if (parsed.success) return parsed.data;
    throw new AppError(
      'invalid',
      'The parameter "after" is no mark of this list. Use the field "after" of the page before, with the same parameters.',
    );
  }

  #open(list: string, mark: string): unknown {
    if (mark.length > MAX_LENGTH) return undefined;
    try {
      return JSON.parse(this.#secrets.open(PURPOSE, mark, list).toString('utf8')) as unknown;
    } catch {
      return undefined;
    }
  }
}
