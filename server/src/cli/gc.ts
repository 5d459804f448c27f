/** `entrepot gc`: one sweep now. A server sweeps by itself, all the time. */
import type { Command } from 'commander';
import { sweepOnce } from '../repositories/reclaim.ts';
import { say } from './output.ts';
import { withCore } from './with-core.ts';

export function addGc(program: Command): void {
  program
    .command('gc')
    .description('Remove bytes that nothing names any more. A running server does so by itself.')
    .action(() =>
      withCore(
        async (core) => {
          const { condemned, bytes, removed } = await sweepOnce(core, async () => {});
          say(`Gave up ${condemned} blobs of ${bytes} bytes and removed ${removed} objects.`);
        },
        { alone: 'gc' },
      ),
    );
}
