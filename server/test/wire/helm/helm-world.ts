/** A server with repositories of charts, and people with rights in them. */
import type { Storage } from '../../support/test-app.ts';
import { grant, startWorld, type World, type WorldOptions } from '../../support/wire-world.ts';

export const LOCAL = 'helm-local';
export const STRICT = 'helm-strict';

export function startHelm(storage: Storage, options: WorldOptions = {}): Promise<World> {
  return startWorld(storage, {
    ...options,
    async prepare(core) {
      await core.administration.create({ key: LOCAL, rclass: 'local', packageType: 'helm' }, '_system_');
      const forced = { forceNonDuplicateChart: true, forceMetadataNameVersion: true };
      await core.administration.create(
        { key: STRICT, rclass: 'local', packageType: 'helm', config: forced },
        '_system_',
      );
      await grant(
        core,
        'charts',
        [LOCAL, STRICT],
        [
          { kind: 'user', name: 'reader', actions: ['read'] },
          { kind: 'user', name: 'writer', actions: ['read', 'annotate', 'deploy'] },
          { kind: 'user', name: 'owner', actions: ['read', 'annotate', 'deploy', 'delete'] },
        ],
      );
      await grant(core, 'some', [LOCAL], [{ kind: 'user', name: 'other', actions: ['read'] }], ['team/**']);
      await options.prepare?.(core);
    },
  });
}
