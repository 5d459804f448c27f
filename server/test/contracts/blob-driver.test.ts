import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFsDriver } from '../../src/blobs/drivers/fs.ts';
import { openS3Driver } from '../../src/blobs/drivers/s3.ts';
import { sharedS3 } from '../support/s3.ts';
import { testBlobDriver } from './blob-driver.ts';

testBlobDriver({
  name: 'fs',
  absentKey: `00/${'0'.repeat(64)}.00000000`,
  async createHome() {
    const root = await mkdtemp(join(tmpdir(), 'entrepot-blobs-'));
    return {
      async open() {
        const driver = openFsDriver({ root, freeSpaceFloorBytes: 0 });
        await driver.start();
        return driver;
      },
      close: () => rm(root, { recursive: true, force: true }),
    };
  },
});

testBlobDriver({
  name: 's3',
  absentKey: `blobs/00/${'0'.repeat(64)}.00000000`,
  async createHome() {
    const server = await sharedS3();
    const bucket = await server.createBucket();
    const { endpoint, region, accessKeyId, secretAccessKey } = server;
    const credentials = { accessKeyId, secretAccessKey };
    return {
      async open() {
        const driver = openS3Driver({
          bucket,
          prefix: 'team/entrepot/',
          region,
          endpoint,
          pathStyle: true,
          credentials,
        });
        await driver.start();
        return driver;
      },
      async close() {},
    };
  },
});
