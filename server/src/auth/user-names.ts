/** What can be the name of a user or a group. */
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';

const USER_NAME = /^[A-Za-z0-9_][A-Za-z0-9._@+-]{0,63}$/;
const GROUP_NAME = /^[A-Za-z0-9_][A-Za-z0-9._@+ -]{0,63}$/;

/** Names that mean something else where a user name stands. */
const RESERVED = new Set([
  'anonymous',
  'token',
  '_token',
  'oauth2accesstoken',
  '_internal_',
  '_system_',
  '00000000-0000-0000-0000-000000000000',
]);

/** The lower-case form under which a user is known; undefined for what can be no user's name. */
export function foldUserName(text: string): string | undefined {
  // Checked before folding: some letters outside ASCII have lower-case forms inside it.
  return USER_NAME.test(text) ? text.toLowerCase() : undefined;
}

/** Takes a name that a user can be given, refuses anything else as `invalid`. */
export function parseUserName(text: string): string {
  const name = foldUserName(text);
  if (name === undefined) {
    throw new AppError(
      'invalid',
      `"${clip(text)}" cannot be a user name: use up to 64 letters, digits, ".", "_", "@", "+" or "-", starting with a letter, digit or "_".`,
    );
  }
  if (RESERVED.has(name)) {
    throw new AppError('invalid', `"${name}" cannot be a user name: the server uses that name itself.`);
  }
  return name;
}

/** Takes a name that a group can be given, refuses anything else as `invalid`. */
export function parseGroupName(text: string): string {
  if (!GROUP_NAME.test(text) || text.endsWith(' ') || RESERVED.has(text.toLowerCase())) {
    throw new AppError(
      'invalid',
      `"${clip(text)}" cannot be a group name: use up to 64 letters, digits, spaces, ".", "_", "@", "+" or "-".`,
    );
  }
  return text;
}
