/** The registry that the npm of this machine is set to: npm comes with Node. */
import { dirname, join } from 'node:path';
import { type Machine, type PublicUpstream, upstreamAddress } from '../../core/public-upstream.ts';

const CLI = 'npm-cli.js';
/** Where Node brings npm along, seen from its own folder, on one kind of system and the other. */
const BESIDE_NODE = ['../lib/node_modules/npm/bin', 'node_modules/npm/bin'];

export const publicUpstream: PublicUpstream = {
  async find(machine) {
    for (const [program, ...args] of await callsOf(machine)) {
      // Without a log of its own it leaves nothing behind.
      const said = await machine.run(program, [...args, 'config', 'get', 'registry', '--logs-max=0']);
      const url = upstreamAddress(said?.trim().split('\n').at(-1) ?? '');
      if (url !== undefined) return { url };
    }
    return undefined;
  },
};

type Call = readonly [program: string, ...args: string[]];

/** Ways to run npm, that of the running Node first. */
async function callsOf(machine: Machine): Promise<readonly Call[]> {
  const calls: Call[] = [];
  for (const folder of BESIDE_NODE.map((path) => join(dirname(machine.node), path))) {
    if ((await machine.list(folder)).includes(CLI)) calls.push([machine.node, join(folder, CLI)]);
  }
  const located = await machine.locate('npm');
  // The program begins with whichever Node the search path has, which may be none.
  if (located?.endsWith('.js')) calls.push([machine.node, located]);
  if (located !== undefined) calls.push(['npm']);
  return calls;
}
