/** The repository that the Maven of this machine has built in, or the mirror that it is set to. */
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type Machine, type PublicUpstream, upstreamAddress } from '../../core/public-upstream.ts';
import { readArchive } from '../../lib/archives/archive.ts';
import { childOf, readXmlNow, textOf, type XmlNode } from '../../lib/xml-reader.ts';

const CENTRAL = 'central';
/** What every project inherits, in which jar of Maven 3 or 4 it may be. */
const SUPER_POM = 'org/apache/maven/model/pom-4.0.0.xml';
const JARS = /^maven-(model-builder|impl)-.*\.jar$/;
const MAX_JAR = 16 * 1024 * 1024;
const LIMITS = { maxEntries: 10_000, maxTotalBytes: MAX_JAR, maxRatio: 100 };
const XML_LIMITS = { maxBytes: 1024 * 1024, maxDepth: 30, maxNodes: 20_000 };

export const publicUpstream: PublicUpstream = {
  async find(machine) {
    const homes = await homesOf(machine);
    const settings = [join(machine.home, '.m2'), ...homes.map((home) => join(home, 'conf'))];
    for (const folder of settings) {
      const mirror = mirrorOf(await readTree(machine, join(folder, 'settings.xml')));
      // What a mirror stands for is not to be asked, also where the mirror cannot be read.
      if (mirror !== undefined) return settingsOf(mirror);
    }
    for (const home of homes) {
      const found = settingsOf((await builtIn(machine, join(home, 'lib'))) ?? '');
      if (found) return found;
    }
    return undefined;
  },
};

function settingsOf(address: string): { readonly url: string } | undefined {
  const url = upstreamAddress(address);
  return url === undefined ? undefined : { url };
}

/** Folders in which Maven may be installed. */
async function homesOf({ env, locate }: Machine): Promise<readonly string[]> {
  const program = await locate('mvn');
  const installed = program === undefined ? [] : [dirname(dirname(program))];
  const homes = [env['MAVEN_HOME'], env['M2_HOME'], ...installed, ...installed.map((home) => join(home, 'libexec'))];
  return [...new Set(homes.filter((home) => home !== undefined).filter(Boolean))];
}

/** Where a mirror of the central repository is, if settings name one. */
function mirrorOf(settings: XmlNode | undefined): string | undefined {
  const mirrors = childrenOf(childOf(settings, 'mirrors'), 'mirror');
  return mirrors
    .map((mirror) => (standsForCentral(textOf(mirror, 'mirrorOf') ?? '') ? textOf(mirror, 'url') : ''))
    .find(Boolean);
}

function standsForCentral(list: string): boolean {
  const names = list.split(',').map((name) => name.trim());
  return !names.includes(`!${CENTRAL}`) && names.some((name) => ['*', CENTRAL, 'external:*'].includes(name));
}

async function builtIn(machine: Machine, folder: string): Promise<string | undefined> {
  for (const name of (await machine.list(folder)).filter((each) => JARS.test(each))) {
    const bytes = await machine.read(join(folder, name), MAX_JAR);
    const pom = bytes && readTreeNow(await superPomIn(bytes));
    const central = childrenOf(childOf(pom, 'repositories'), 'repository').find(
      (repository) => textOf(repository, 'id') === CENTRAL,
    );
    if (central) return textOf(central, 'url');
  }
  return undefined;
}

async function superPomIn(jar: Buffer): Promise<Buffer | undefined> {
  const open = async (range?: { readonly start: number; readonly end: number }) =>
    Readable.from([jar.subarray(range?.start ?? 0, (range?.end ?? jar.length) + 1)]);
  try {
    for await (const entry of readArchive('zip', { size: jar.length, open }, LIMITS)) {
      if (entry.name === SUPER_POM) return await buffer(Readable.from(await entry.open()));
    }
  } catch {
    // No jar.
  }
  return undefined;
}

async function readTree(machine: Machine, path: string): Promise<XmlNode | undefined> {
  return readTreeNow(await machine.read(path, XML_LIMITS.maxBytes));
}

function readTreeNow(bytes: Buffer | undefined): XmlNode | undefined {
  try {
    return bytes && readXmlNow(bytes, XML_LIMITS);
  } catch {
    return undefined;
  }
}

function childrenOf(node: XmlNode | undefined, name: string): readonly XmlNode[] {
  return node?.children.filter((child) => child.name === name) ?? [];
}
