/** Failures as the ecosystem's clients show them: by the reason phrase, and by the field `error`. */
import type { Failure, Reply } from '../../core/protocol.ts';

const MAX_REASON = 250;

/** The sentence is in both, since the client prints the one and its upload plugin the other. */
export function renderFailure({ error, status }: Failure): Reply {
  return {
    status,
    reason: error.message.replace(/[^\x20-\x7e]+/g, '?').slice(0, MAX_REASON),
    json: { error: error.message },
    headers: {
      ...(error.detail['headers'] as Record<string, string> | undefined),
      ...(status === 401 && { 'WWW-Authenticate': 'Basic realm="Artifactory Realm"' }),
    },
  };
}
