/** What a first start says to whoever reads its log. */
import type { RemoteOutcome } from './first-start.ts';

/** Loopback addresses are asked only where an administrator says so. */
const ON_THIS_MACHINE = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** One message; where a repository was left out, with the command that adds it, which reads the password from whoever runs it. */
export function tellOutcome(outcome: RemoteOutcome, origin: string): string {
  const { packageType } = outcome;
  const key = `${packageType}-remote`;
  if (outcome.made) {
    const made = `made the remote repository ${key} of ${outcome.url}, and a member of ${packageType}`;
    if (!ON_THIS_MACHINE.test(new URL(outcome.url).hostname)) return made;
    return `${made}; it is on this machine, which is asked only when its address is listed in ENTREPOT_REMOTES__ALLOWED_ADDRESSES`;
  }
  const why = outcome.reason ?? 'No upstream is known.';
  const example = `https://${packageType}.example`;
  return `there is no remote repository ${key} yet: ${why} Add it by this, with its address for ${example}: ${addCommand(packageType, example, origin)}`;
}

/** Without quotes in the quotes, so that it can be copied out of a log of JSON. */
function addCommand(packageType: string, url: string, origin: string): string {
  const key = `${packageType}-remote`;
  const remote = `{${key}: {type: ${packageType}, url: ${url}}}`;
  const virtual = `{${packageType}: {repositories: [${packageType}-local, ${key}]}}`;
  const change = `{remoteRepositories: ${remote}, virtualRepositories: ${virtual}}`;
  const address = `${origin}/artifactory/api/system/configuration`;
  return `curl -u admin -X PATCH -H 'Content-Type: application/yaml' -d '${change}' ${address}`;
}
