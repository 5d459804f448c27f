/** Documents of packages that clients send back with changes. They hold all versions, so they are read a little at a time. */
import { isUtf8 } from 'node:buffer';
import { AppError } from '../../core/errors.ts';
import { JsonMembers } from '../../lib/json-members.ts';
import { Spell } from '../../lib/spell.ts';
import { recordOf } from './release.ts';

/** No document that is sent back may be larger. */
export const MAX_SENT_BACK = 64 * 1024 * 1024;

/** What is taken from such a document. */
export interface Edit {
  /** The versions that it has, with the message of those that it deprecates. */
  readonly versions: ReadonlyMap<string, string | undefined>;
  readonly tags: Readonly<Record<string, unknown>>;
  readonly maintainers: unknown;
  readonly users: unknown;
}

/** Reads what is taken and passes over the rest; refuses, as `invalid`, what is no JSON object. */
export async function readEdit(bytes: Buffer): Promise<Edit> {
  const versions = new Map<string, string | undefined>();
  const said = new Map<string, unknown>();
  const spell = new Spell();
  try {
    await spell.rest();
    if (!isUtf8(bytes)) throw new SyntaxError('It is not UTF-8 text.');
    const members = new JsonMembers(bytes);
    for (let key = members.next(); key !== undefined; key = members.next()) {
      const all = key === 'versions' ? members.members() : undefined;
      for (let version = all?.next(); all && version !== undefined; version = all.next()) {
        versions.set(version, deprecationIn(all.members()));
        if (spell.isOver) await spell.rest();
      }
      if (key === 'dist-tags' || key === 'maintainers' || key === 'users') said.set(key, members.value());
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new AppError('invalid', 'The document of the package cannot be read: it is not a JSON object.');
  }
  const [tags, maintainers, users] = [recordOf(said.get('dist-tags')), said.get('maintainers'), said.get('users')];
  return { versions, tags, maintainers, users };
}

/** The empty text takes a deprecation back. */
function deprecationIn(manifest: JsonMembers | undefined): string | undefined {
  let message: unknown;
  for (let key = manifest?.next(); key !== undefined; key = manifest?.next()) {
    if (key === 'deprecated') message = manifest?.value();
  }
  return typeof message === 'string' && message !== '' ? message : undefined;
}
