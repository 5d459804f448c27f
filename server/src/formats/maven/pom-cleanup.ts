/** Takes out of POMs where else to look for artifacts: who asks a virtual repository is to find everything there. */
import type { Adaptation } from '../../core/format.ts';
import type { RepoPath } from '../../core/ids.ts';
import { childOf, decodeXml, type XmlNode, XmlProblem } from '../../lib/xml-reader.ts';
import { parseMavenPath } from './paths.ts';
import { POM_LIMITS, readPom } from './pom.ts';

const SECTIONS = ['repositories', 'pluginRepositories'];

/** What the policy makes of a POM; undefined for other files, and where the policy changes nothing. */
export function adaptPom(path: RepoPath, settings: Readonly<Record<string, unknown>>): Adaptation | undefined {
  if (!path.endsWith('.pom') || parseMavenPath(path)?.extension !== 'pom') return undefined;
  const policy = settings['pomRepositoryReferencesCleanupPolicy'] ?? 'discard_active_reference';
  if (policy !== 'discard_active_reference' && policy !== 'discard_any_reference') return undefined;
  return {
    name: policy,
    maxBytes: POM_LIMITS.maxBytes,
    apply: (bytes) => withoutReferences(bytes, policy === 'discard_any_reference'),
  };
}

/** The POM without its references; undefined where it has none, and for what cannot be read as a POM. */
async function withoutReferences(bytes: Buffer, fromAllProfiles: boolean): Promise<Buffer | undefined> {
  let pom: XmlNode;
  try {
    pom = await readPom(bytes);
  } catch (error) {
    if (!(error instanceof XmlProblem)) throw error;
    return undefined;
  }
  const profiles = (childOf(pom, 'profiles')?.children ?? []).filter((profile) => fromAllProfiles || isActive(profile));
  const removed = [pom, ...profiles]
    .flatMap(({ children }) => children.filter(({ name }) => SECTIONS.includes(name)))
    .sort((one, other) => one.start - other.start);
  if (removed.length === 0) return undefined;
  const text = decodeXml(bytes, POM_LIMITS);
  let kept = '';
  let at = 0;
  for (const { start, end } of removed) {
    kept += text.slice(at, start);
    at = end;
  }
  kept += text.slice(at);
  // The declaration names the encoding in which the bytes go out.
  return Buffer.from(kept.replace(/^(<\?xml\s[^>]*?encoding\s*=\s*["'])[\w.-]+/, '$1UTF-8'));
}

function isActive(profile: XmlNode): boolean {
  return childOf(childOf(profile, 'activation'), 'activeByDefault')?.text === 'true';
}
