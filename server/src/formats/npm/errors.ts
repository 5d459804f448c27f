/** Failures as npm's clients read them: they print the member `error` behind the status. */
import { AppError } from '../../core/errors.ts';
import type { RepoPath } from '../../core/ids.ts';
import type { Failure, Reply } from '../../core/protocol.ts';

export function renderFailure({ error, status }: Failure): Reply {
  const { message } = error;
  return {
    status,
    json: { error: message, reason: message, errors: [{ status, message }] },
    headers: {
      ...(error.detail['headers'] as Record<string, string> | undefined),
      ...(status === 401 && { 'WWW-Authenticate': 'Basic realm="Artifactory Realm"' }),
    },
  };
}

/** What clients expect of a version that may not be published again. */
export function alreadyPublished(name: string, version: string): AppError {
  return new AppError(
    'forbidden',
    `You cannot publish over ${name}@${version}, which is published already. Raise the version and publish again.`,
  );
}

/** A version that was removed stays taken: who had installed it must not get something else by its number. */
export function removedBefore(name: string, version: string, note: RepoPath): AppError {
  return new AppError(
    'forbidden',
    `You cannot publish ${name}@${version}: it was published before and removed. Raise the version and publish again; only removing "${note}" from the repository makes this one free.`,
  );
}

/** Of what another member of a virtual repository holds, nothing can be said in the one that takes what is sent. */
export function notHeld(name: string, version: string): AppError {
  return new AppError(
    'invalid',
    `Nothing can be said here of ${name}@${version}, because the repository that takes changes does not hold it.`,
  );
}

export function unknownPackage(name: string): AppError {
  return new AppError('not_found', `There is no package "${name}" here. Check its name, or publish it first.`);
}

export function unknownVersion(name: string, version: string): AppError {
  return new AppError('not_found', `There is no version or tag "${version}" of "${name}" here.`);
}
