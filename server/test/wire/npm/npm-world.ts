/** A server with an npm repository and users who may do this or that in it. */
import type { Action } from '../../../src/core/principal.ts';
import type { Caller, Storage } from '../../support/test-app.ts';
import { grant, startWorld, type World, type WorldOptions } from '../../support/wire-world.ts';

export const BASE = '/artifactory/api/npm/npm-local';

export interface NpmWorld extends World {
  /** Reads, annotates and deploys; nothing may be deleted or overwritten. */
  readonly writer: Caller;
  /** May do everything in the repository. */
  readonly owner: Caller;
  readonly reader: Caller;
}

export async function startNpmWorld(storage: Storage, options: WorldOptions = {}): Promise<NpmWorld> {
  const world = await startWorld(storage, {
    ...options,
    async prepare(core) {
      await core.administration.create({ key: 'npm-local', rclass: 'local', packageType: 'npm' }, '_system_');
      const rights: Record<string, readonly Action[]> = {
        reader: ['read'],
        writer: ['read', 'annotate', 'deploy'],
        owner: ['read', 'annotate', 'deploy', 'delete'],
      };
      const grants = Object.entries(rights).map(([name, actions]) => ({ kind: 'user' as const, name, actions }));
      await grant(core, 'npm', ['npm-local'], grants);
      await options.prepare?.(core);
    },
  });
  return { ...world, writer: world.as('writer'), owner: world.as('owner'), reader: world.as('reader') };
}
