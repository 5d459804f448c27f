/** A server with a repository for Python, and people with rights in it. */
import type { Storage } from '../../support/test-app.ts';
import { grant, startWorld, type World, type WorldOptions } from '../../support/wire-world.ts';

export const LOCAL = 'py-local';

export function startPypi(storage: Storage, options: WorldOptions = {}): Promise<World> {
  return startWorld(storage, { ...options, prepare: preparePypi });
}

export async function preparePypi(core: Parameters<NonNullable<WorldOptions['prepare']>>[0]): Promise<void> {
  await core.administration.create({ key: LOCAL, rclass: 'local', packageType: 'pypi' }, '_system_');
  await grant(
    core,
    'python',
    [LOCAL],
    [
      { kind: 'user', name: 'reader', actions: ['read'] },
      { kind: 'user', name: 'writer', actions: ['read', 'annotate', 'deploy'] },
      { kind: 'user', name: 'owner', actions: ['read', 'annotate', 'deploy', 'delete'] },
    ],
  );
}
