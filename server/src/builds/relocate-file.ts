/** Moves or copies one file of a build, with its properties and those the promotion adds. */
import { AppError, type ErrorCode, STATUS } from '../core/errors.ts';
import { type RelocateDeps, relocate } from '../repositories/relocate.ts';
import type { RelocateFile } from './promotion.ts';

/** All or nothing of the file: what is refused is thrown. */
export function relocateFileOf(deps: RelocateDeps): RelocateFile {
  return async (request) => {
    const { messages } = await relocate(deps, { ...request, exact: true, failFast: true });
    const refusal = messages.find(({ level }) => level === 'ERROR');
    if (refusal) throw new AppError(codeOf(refusal.status), refusal.message);
    return messages.flatMap(({ level, message }) => (level === 'WARNING' ? [{ level, message }] : []));
  };
}

function codeOf(status: number = STATUS.conflict): ErrorCode {
  const codes = Object.keys(STATUS) as ErrorCode[];
  return codes.find((code) => STATUS[code] === status) ?? 'conflict';
}
