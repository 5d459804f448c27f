/** The read-only switch, for the whole server and for single repositories. */
import { z } from 'zod';
import { remoteKeyOf } from '../core/cache-keys.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import type { ReadOnly } from '../repositories/read-only.ts';
import { bodyRoute, READ, type Route, route } from './route.ts';

export interface ReadOnlyApiDeps {
  readonly readOnly: ReadOnly;
  readonly repositories: RepositoryDirectory;
}

const SERVER = 'artifactory/api/system/readonly';
const REPOSITORY = `${SERVER}/{key}`;

export function readOnlyRoutes({ readOnly, repositories }: ReadOnlyApiDeps): readonly Route[] {
  const known = (key: string | undefined) => {
    if (key !== undefined && !repositories.has(key)) {
      throw new AppError('not_found', `There is no repository "${clip(key)}".`);
    }
    // What a remote repository holds stands still with it.
    const remote = remoteKeyOf(key ?? '');
    return remote !== undefined && repositories.cacheKeyOf(remote) === key ? remote : key;
  };
  const state = (key?: string): Reply => {
    const standstill = readOnly.of(key);
    const { repositories: single } = readOnly.state;
    const json = { readOnly: standstill !== undefined, ...standstill };
    return { status: 200, json: key === undefined ? { ...json, repositories: single } : json };
  };
  return [
    ...[SERVER, REPOSITORY].flatMap((pattern) => [
      route({ methods: READ, pattern, right: 'admin', handle: async ({ params }) => state(known(params['key'])) }),
      bodyRoute({
        methods: ['PUT'],
        pattern,
        right: 'admin',
        body: z.strictObject({ reason: z.string() }),
        async handle({ params, body, caller }) {
          const key = known(params['key']);
          await readOnly.set(body.reason, nameOf(caller.principal), key);
          return state(key);
        },
      }),
      route({
        methods: ['DELETE'],
        pattern,
        right: 'admin',
        async handle({ params, caller }) {
          const key = known(params['key']);
          await readOnly.clear(nameOf(caller.principal), key);
          return state(key);
        },
      }),
    ]),
  ];
}
