/** What a command says when it fails: one sentence for the person at the terminal. */
import { ConfigError } from '../config/load.ts';
import { AppError } from '../core/errors.ts';

const SYSTEM_FAILURES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'The address is in use by another program. Choose another port with ENTREPOT_HTTP__PORT.',
  EADDRNOTAVAIL: 'The address does not belong to this machine. Choose another with ENTREPOT_HTTP__HOST.',
  ECONNREFUSED: 'The database or the object store cannot be reached. Check that it runs, and its address.',
  ENOTFOUND: 'The host of the database or of the object store is not known. Check its address.',
  ETIMEDOUT: 'The database or the object store does not answer. Check its address and the network.',
  ENOSPC: 'The disk is full. Free some space and try again.',
  EROFS: 'The data folder cannot be written. Choose another with ENTREPOT_DATA__DIR.',
  EACCES: 'A file, folder or port may not be used by this user. Check who owns the data folder.',
  EPERM: 'A file, folder or port may not be used by this user. Check who owns the data folder.',
};

export function sentenceOf(error: unknown): string {
  if (error instanceof AppError || error instanceof ConfigError) return error.message;
  const known = SYSTEM_FAILURES[codeOf(error)];
  if (known !== undefined) return known;
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n', 1)[0] || 'The command failed for a reason that is not known.';
}

/** Failures to connect to one of several addresses come as one error without a code of its own. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
