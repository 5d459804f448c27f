import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { getClient } from './client-folder.ts';
import { openClient } from './client-suite.ts';
import { buildMultiArchImage } from './oci-layout.ts';
import { pushImage } from './registry-api.ts';
import { imageName, imagePath, requireTarget } from './target.ts';
import type { ClientName } from './versions.ts';

const image = buildMultiArchImage('anonymous');
const name = imageName('anonymous/private');

/** How each client pulls with no credentials at hand. */
const pulls: readonly { client: ClientName; args: (folder: string) => readonly string[] }[] = [
  { client: 'skopeo', args: (to) => ['copy', '--src-tls-verify=false', `docker://${name}:v1`, `dir:${to}`] },
  { client: 'crane', args: (to) => ['pull', '--format=oci', `${name}:v1`, to] },
  { client: 'oras', args: (to) => ['cp', '--from-plain-http', '--to-oci-layout', `${name}:v1`, `${to}:v1`] },
  {
    client: 'regctl',
    args: (to) => {
      const host = ['--host', `reg=${requireTarget().registry},tls=disabled`];
      return ['image', 'copy', ...host, `${name}:v1`, `ocidir://${to}:v1`];
    },
  },
  { client: 'helm3', args: (to) => ['pull', '--plain-http', `oci://${name}`, '--version', '1.0.0', '-d', to] },
  { client: 'helm4', args: (to) => ['pull', '--plain-http', `oci://${name}`, '--version', '1.0.0', '-d', to] },
];

describe('anonymous', () => {
  before(async () => await pushImage(imagePath('anonymous/private'), 'v1', image));

  for (const { client, args } of pulls) {
    const installed = getClient(client);
    const skip = installed.state === 'absent' ? installed.reason : false;
    test(`refuses ${client} without credentials and says so`, { skip }, async () => {
      assert.ok(installed.state === 'installed');
      const { fail, folder } = openClient(installed.path, installed.version);
      const output = await fail(args(join(folder, 'pulled')));
      assert.match(output, /unauthorized|authentication required|credential not found|401/i);
      // A missing image must not look like a forbidden one, nor the other way round.
      assert.doesNotMatch(output, /not found.*manifest|manifest unknown|panic/i);
    });
  }
});
