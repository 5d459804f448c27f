/** The licence questions of Artifactory's clients. This server needs none; the answers let every feature be used. */
import { z } from 'zod';
import type { Reply } from '../core/protocol.ts';
import { PRODUCT } from '../lib/product.ts';
import { bodyRoute, READ, type Route, route } from './route.ts';

const ONE = 'artifactory/api/system/license';
const ALL = 'artifactory/api/system/licenses';
/** Clients look for the word Enterprise, and for nothing else, before they use what needs it. */
const LICENSE = { type: 'Enterprise Plus', validThrough: 'Dec 31, 2099', licensedTo: PRODUCT.name };
const NOT_NEEDED = `${PRODUCT.name} needs no license, so none was installed.`;

export function licenseRoutes({ instanceId }: { readonly instanceId: string }): readonly Route[] {
  const listed = {
    ...LICENSE,
    licenseHash: instanceId.replaceAll('-', ''),
    nodeId: instanceId,
    nodeUrl: '',
    expired: false,
  };
  return [
    route({ methods: READ, pattern: ONE, right: 'admin', handle: async () => ({ status: 200, json: LICENSE }) }),
    route({
      methods: READ,
      pattern: ALL,
      right: 'admin',
      handle: async () => ({ status: 200, json: { licenses: [listed] } }),
    }),
    bodyRoute({
      methods: ['POST'],
      pattern: ONE,
      right: 'admin',
      body: z.looseObject({ licenseKey: z.string() }),
      handle: async () => ({ status: 200, json: { status: 200, message: NOT_NEEDED } }),
    }),
    bodyRoute({
      methods: ['POST'],
      pattern: ALL,
      right: 'admin',
      body: z.array(z.looseObject({ licenseKey: z.string() })).max(100),
      handle: async ({ body }) => notNeeded(body.map(({ licenseKey }) => licenseKey)),
    }),
    route({
      methods: ['DELETE'],
      pattern: ALL,
      right: 'admin',
      handle: async ({ query }) => notNeeded((query.get('licenseHash') ?? '').split(',').filter((hash) => hash !== '')),
    }),
  ];
}

function notNeeded(names: readonly string[]): Reply {
  const messages = Object.fromEntries(names.map((name) => [name.slice(0, 200), 'OK']));
  return { status: 200, json: { status: 200, messages } };
}
