/** What the command tells Node of memory. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { Installation } from './installation.ts';

describe('ENTREPOT_MEMORY', () => {
  let here: Installation;
  before(async () => {
    here = await Installation.make('sqlite');
  });
  after(() => here.remove());

  for (const [value, saves] of [
    ['', false],
    ['default', false],
    ['small', true],
  ] as const) {
    test(`"${value}" has the server ${saves ? 'save memory' : 'run as ever'}`, async () => {
      const server = await here.serve({ ENTREPOT_MEMORY: value });
      try {
        const words = (await readFile(`/proc/${server.pid}/cmdline`, 'utf8')).split('\0');
        assert.equal(words.includes('--memory-saver-mode'), saves);
        assert.equal(await server.status('/artifactory/api/system/ping'), 200);
      } finally {
        await server.stop();
      }
    });
  }

  test('of another value it is said which there are', async () => {
    const said = await here.fail(['check'], { env: { ENTREPOT_MEMORY: 'tiny' } });
    assert.equal(said, 'ENTREPOT_MEMORY: must be "default" or "small", not "tiny"');
  });
});
