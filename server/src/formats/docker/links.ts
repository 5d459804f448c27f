/** Addresses that clients are told to go on to. */
import type { Links } from '../../core/protocol.ts';

/** The path below the mount that the client used, with what has to come along with each of its requests. */
export function addressOf(links: Links, path: string, query: Readonly<Record<string, string>> = {}): string {
  const parameters = [new URLSearchParams(query).toString(), links.query ?? ''].filter((each) => each !== '');
  return `${links.mount}/${path}${parameters.length > 0 ? `?${parameters.join('&')}` : ''}`;
}
