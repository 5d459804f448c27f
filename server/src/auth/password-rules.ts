/** Which passwords are taken, and one made up where none is given. */
import { randomInt } from 'node:crypto';
import { AppError } from '../core/errors.ts';
import { MAX_PASSWORD_BYTES } from './passwords.ts';
import { looksLikeToken } from './tokens.ts';

const GENERATED_LENGTH = 24;
/** Without those that are easily taken for one another. */
const GENERATED_ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789';

/** Words that are tried first; a password may not be one of them with digits or signs around it. */
const TRIVIAL_WORDS = new Set(
  (
    'password passw0rd passwort admin administrator artifactory entrepot jfrog docker registry repository letmein ' +
    'welcome changeme secret qwerty qwertyui qwertyuiop qwertz asdfghjk iloveyou monkey dragon football baseball ' +
    'superman batman trustno sunshine princess default test tester testing guest root toor user login master access ' +
    'changeit hello helloworld abc abcd abcdef abcdefg abcdefgh'
  ).split(' '),
);

/** Refuses, as `invalid`, what anybody would try first. The words are never echoed. */
export function requirePassword(
  password: string,
  { userName, minLength }: { readonly userName: string; readonly minLength: number },
): void {
  if ([...password].length < minLength) {
    throw new AppError('invalid', `The password is too short: at least ${minLength} characters are needed.`);
  }
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    throw new AppError('invalid', `The password is longer than ${MAX_PASSWORD_BYTES} bytes.`);
  }
  if (/[\u0000-\u001f\u007f]/.test(password) || !password.isWellFormed()) {
    throw new AppError('invalid', 'The password holds a control character, which many clients cannot send.');
  }
  if (looksLikeToken(password)) {
    throw new AppError('invalid', 'The password has the form of a token. Choose another one.');
  }
  if (isTrivial(password.toLowerCase(), userName)) {
    throw new AppError('invalid', 'The password is one that is tried first. Choose one that nobody would guess.');
  }
}

function isTrivial(password: string, name: string): boolean {
  if (new Set(password).size <= 2) return true;
  if ('01234567890123456789'.includes(password) || '98765432109876543210'.includes(password)) return true;
  const letters = password.replace(/[^\p{L}]/gu, '');
  const core = password.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, '');
  const words = [letters, core, password, letters.slice(0, letters.length / 2)];
  const doubled = letters === letters.slice(0, letters.length / 2).repeat(2);
  return words.some((word, i) => (i < 3 || doubled) && (TRIVIAL_WORDS.has(word) || word === name.toLowerCase()));
}

/** 24 random letters and digits. */
export function generatePassword(): string {
  return Array.from({ length: GENERATED_LENGTH }, () => GENERATED_ALPHABET[randomInt(GENERATED_ALPHABET.length)]).join(
    '',
  );
}
