/** Plain files. */
import assert from 'node:assert/strict';
import type { FormatSample } from './sample.ts';

const FILES: Readonly<Record<string, Buffer>> = {
  'docs/readme.txt': Buffer.from('read me\n'),
  'tools/1.0/tool-1.0.bin': Buffer.alloc(300_000, 'tool'),
  'odd names/a+b @c=d,ü.bin': Buffer.from('odd'),
};

function pathOf(key: string, path: string): string {
  return `/artifactory/${key}/${path.split('/').map(encodeURIComponent).join('/')}`;
}

export const GENERIC_SAMPLE: FormatSample = {
  packageType: 'generic',
  upstreamUrl: ({ origin, key }) => `${origin}/artifactory/${key}`,
  async publish({ caller, key }) {
    for (const [path, body] of Object.entries(FILES)) {
      const answer = await caller.request('PUT', pathOf(key, path), { body });
      assert.equal(answer.status, 201, answer.text);
    }
  },
  reads: [
    ...Object.keys(FILES).map((path) => ({
      name: `the file ${path}`,
      async read({ caller, key }: Parameters<FormatSample['publish']>[0]) {
        const { status, bytes, headers } = await caller.request('GET', pathOf(key, path));
        return {
          status,
          text: bytes.toString('base64'),
          sha1: headers['x-checksum-sha1'],
          length: headers['content-length'],
        };
      },
    })),
    {
      name: 'the head of a file',
      async read({ caller, key }) {
        const { status, headers } = await caller.request('HEAD', pathOf(key, 'docs/readme.txt'));
        return { status, length: headers['content-length'] };
      },
    },
    {
      name: 'a part of a file',
      async read({ caller, key }) {
        const { status, bytes, headers } = await caller.request('GET', pathOf(key, 'tools/1.0/tool-1.0.bin'), {
          headers: { range: 'bytes=1000-1999' },
        });
        return { status, text: bytes.toString('latin1'), range: headers['content-range'] };
      },
    },
    {
      name: 'a checksum',
      async read({ caller, key }) {
        const { status, text } = await caller.request('GET', pathOf(key, 'docs/readme.txt.sha256'));
        return { status, text };
      },
    },
    {
      name: 'a file that is not there',
      async read({ caller, key }) {
        return (await caller.request('GET', pathOf(key, 'docs/none.txt'))).status;
      },
    },
  ],
};
