/** A machine with programs of the test's own: small scripts in a folder that is its whole search path. */
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openMachine } from '../../src/config/machine.ts';
import type { Machine } from '../../src/core/public-upstream.ts';

export interface FakeMachine extends AsyncDisposable {
  /** Everything lies in it: `bin` is the search path, `home` the account's folder, `node/bin/node` the running Node. */
  readonly folder: string;
  readonly ending: AbortController;
  open(options?: { readonly env?: Readonly<Record<string, string>>; readonly limitMs?: number }): Machine;
  write(path: string, content: string | Buffer): Promise<void>;
  /** A script of the shell on the search path, or where the path says. */
  program(name: string, script: string): Promise<void>;
  link(path: string, to: string): Promise<void>;
}

export async function makeMachine(): Promise<FakeMachine> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-machine-'));
  const ending = new AbortController();
  const write = async (path: string, content: string | Buffer) => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  };
  const link = async (path: string, to: string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await symlink(to, join(folder, path));
  };
  await mkdir(join(folder, 'bin'));
  await mkdir(join(folder, 'home'));
  await link('node/bin/node', process.execPath);
  return {
    folder,
    ending,
    open({ env = {}, limitMs = 10_000 } = {}) {
      return openMachine({
        env: { PATH: join(folder, 'bin'), HOME: join(folder, 'home'), ...env },
        signal: ending.signal,
        node: join(folder, 'node/bin/node'),
        limitMs,
      });
    },
    write,
    link,
    async program(name, script) {
      const path = name.includes('/') ? name : `bin/${name}`;
      await write(path, `#!/bin/sh\n${script}\n`);
      await chmod(join(folder, path), 0o755);
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
