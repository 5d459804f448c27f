/** The index that the pip of this machine is set to, else the one it has built in. */
import {
  type Machine,
  type PublicUpstream,
  type UpstreamSettings,
  upstreamAddress,
} from '../../core/public-upstream.ts';

const PYTHONS = ['python3', 'python'];
/** Where pip looks for the address, what it prefers first. */
const SETTINGS = [':env:.index-url', 'install.index-url', 'global.index-url'];
const BUILT_IN =
  'from pip._internal.models.index import PyPI; print(PyPI.simple_url); print("https://" + PyPI.file_storage_domain)';
const SUFFIX = /\/(\+?simple)$/;

export const publicUpstream: PublicUpstream = {
  settingsFor: indexSettings,
  async find(machine) {
    for (const python of PYTHONS) {
      const found = await askPip(machine, python);
      if (found) return found;
    }
    return undefined;
  },
};

async function askPip(machine: Machine, python: string): Promise<UpstreamSettings | undefined> {
  const list = await machine.run(python, ['-m', 'pip', 'config', 'list']);
  if (list === undefined) return undefined;
  const set = setIndex(list);
  if (set !== undefined) {
    const address = upstreamAddress(set);
    return address === undefined ? undefined : indexSettings(address);
  }
  const [simple = '', files = ''] = (await machine.run(python, ['-c', BUILT_IN]))?.split('\n') ?? [];
  const [index, host] = [upstreamAddress(simple), upstreamAddress(files)];
  if (index === undefined) return undefined;
  const settings = indexSettings(index);
  // The built-in one has its files at a host of their own.
  return host === undefined ? settings : { ...settings, url: host, pyPIRegistryUrl: settings.url };
}

/** The address in lines such as `global.index-url='https://…'`; undefined where nobody set one. */
function setIndex(list: string): string | undefined {
  const lines = new Map(
    list.split('\n').map((line): [string, string] => {
      const at = line.indexOf('=');
      return [line.slice(0, Math.max(at, 0)), line.slice(at + 1).trim()];
    }),
  );
  const name = SETTINGS.find((each) => lines.has(each));
  return name === undefined ? undefined : lines.get(name)?.replace(/^(['"])(.*)\1$/, '$2');
}

/** Settings for the address of an index as pip is given it. */
function indexSettings(index: string): UpstreamSettings {
  const [ending, suffix] = SUFFIX.exec(index) ?? [];
  if (ending === undefined || suffix === undefined) return { url: index };
  return { url: index.slice(0, -ending.length), pyPIRepositorySuffix: suffix };
}
