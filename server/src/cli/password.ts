/** Where commands get passwords from: a file, a pipe or a person, never the command line, which others can see. */
import { readFile } from 'node:fs/promises';
import { readAll } from '../core/bodies.ts';
import { AppError } from '../core/errors.ts';

const MAX_BYTES = 4096;

/** The password in the file, on standard input, or typed twice without being shown. */
export async function readPassword(options: { readonly passwordFile?: string }): Promise<string> {
  if (options.passwordFile !== undefined) return firstLine(await readFileNamed(options.passwordFile), 'file');
  if (!process.stdin.isTTY) {
    const bytes = await readAll(process.stdin, { limit: MAX_BYTES, what: 'password' });
    return firstLine(bytes.toString('utf8'), 'input');
  }
  const password = await ask('Password: ');
  if ((await ask('The same again: ')) !== password) {
    throw new AppError('invalid', 'The two passwords differ. Try again.');
  }
  return password;
}

async function readFileNamed(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new AppError('invalid', `The password file "${path}" cannot be read.`, {}, { cause: error });
  }
}

function firstLine(text: string, what: string): string {
  const password = text.replace(/\r?\n$/, '');
  if (password === '') {
    throw new AppError('invalid', `The password ${what} is empty. Give a password on standard input or in a file.`);
  }
  return password;
}

function ask(question: string): Promise<string> {
  const { stdin, stderr } = process;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let typed = '';
  const done = (finish: () => void) => {
    stdin.off('data', onData).setRawMode(false).pause();
    stderr.write('\n');
    finish();
  };
  const onData = (chunk: Buffer) => {
    for (const key of chunk.toString('utf8')) {
      if (key === '\r' || key === '\n') return done(() => resolve(typed));
      if (key === '\u0003' || key === '\u0004') {
        return done(() => reject(new AppError('invalid', 'No password was given, so nothing was changed.')));
      }
      typed = key === '\u007f' || key === '\b' ? typed.slice(0, -1) : typed + key;
    }
  };
  stderr.write(question);
  stdin.setRawMode(true).resume().on('data', onData);
  return promise;
}
