/** What the server says about itself, and the requests of Artifactory that have nothing to do here. */
import { hostname } from 'node:os';
import { z } from 'zod';
import { AppError } from '../core/errors.ts';
import type { Reply } from '../core/protocol.ts';
import { COMPATIBLE_REVISION, COMPATIBLE_VERSION, PRODUCT } from '../lib/product.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { bodyRoute, READ, type Route, route } from './route.ts';

export interface FactsDeps {
  readonly instanceId: string;
  readonly repositories: RepositoryDirectory;
  readonly storageNames: { readonly database: string; readonly blobs: string };
}

const SYSTEM = 'artifactory/api/system';

export function factRoutes(deps: FactsDeps): readonly Route[] {
  const serviceId = `jfrt@${deps.instanceId.replaceAll('-', '')}`;
  const startedAt = new Date();
  const done = async (): Promise<Reply> => ({ status: 200, text: 'DONE' });
  return [
    route({
      methods: READ,
      pattern: SYSTEM,
      right: 'admin',
      handle: async () => ({ status: 200, text: table(facts(deps, startedAt)) }),
    }),
    route({
      methods: READ,
      pattern: `${SYSTEM}/info`,
      right: 'admin',
      handle: async () => ({ status: 200, json: facts(deps, startedAt) }),
    }),
    route({
      methods: READ,
      pattern: `${SYSTEM}/status`,
      right: 'admin',
      handle: async () => ({
        status: 200,
        json: {
          isHa: false,
          nodes: [{ id: hostname(), state: 'RUNNING', version: COMPATIBLE_VERSION, licenceHash: deps.instanceId }],
        },
      }),
    }),
    route({
      methods: READ,
      pattern: `${SYSTEM}/service_id`,
      right: 'user',
      handle: async () => ({ status: 200, text: serviceId }),
    }),
    route({
      methods: READ,
      pattern: `${SYSTEM}/serverTime`,
      right: 'admin',
      handle: async () => ({ status: 200, text: String(Date.now()) }),
    }),
    // Secrets are always encrypted here, with the key that the server was started with.
    route({ methods: ['POST'], pattern: `${SYSTEM}/encrypt`, right: 'admin', handle: done }),
    route({
      methods: ['POST'],
      pattern: `${SYSTEM}/decrypt`,
      right: 'admin',
      async handle() {
        throw new AppError('conflict', 'Secrets stay encrypted: they are never written out in the clear.');
      },
    }),
    ...['start', 'stop'].map((action) =>
      // Every file has its SHA-256 from the beginning.
      route({ methods: ['POST'], pattern: `${SYSTEM}/migration/sha2/${action}`, right: 'admin', handle: done }),
    ),
    bodyRoute({
      methods: ['POST'],
      pattern: `${SYSTEM}/verifyconnection`,
      right: 'admin',
      body: z.looseObject({ endpoint: z.string().max(2000) }),
      async handle() {
        throw new AppError(
          'invalid',
          'This server fetches nothing from other servers yet, so it tries no connection either.',
        );
      },
    }),
    route({
      methods: READ,
      pattern: 'artifactory/api/plugins',
      right: 'admin',
      handle: async () => ({ status: 200, json: {} }),
    }),
    ...['health', 'readiness', 'liveness'].map((name) =>
      route({
        methods: READ,
        pattern: `router/api/v1/system/${name}`,
        right: 'none',
        handle: async () => ({ status: 200, json: health(serviceId, deps.instanceId) }),
      }),
    ),
  ];
}

function health(serviceId: string, nodeId: string) {
  const state = { node_id: nodeId, state: 'HEALTHY', message: 'OK' };
  return { router: state, services: [{ service_id: serviceId, ...state }] };
}

function facts(deps: FactsDeps, startedAt: Date): Readonly<Record<string, Readonly<Record<string, string>>>> {
  const memory = process.memoryUsage();
  return {
    product: {
      name: PRODUCT.name,
      version: PRODUCT.version,
      compatibleVersion: COMPATIBLE_VERSION,
      compatibleRevision: COMPATIBLE_REVISION,
      startedAt: startedAt.toISOString(),
    },
    runtime: {
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      heapUsedBytes: String(memory.heapUsed),
      residentBytes: String(memory.rss),
      uptimeSeconds: String(Math.floor(process.uptime())),
    },
    storage: deps.storageNames,
  };
}

/** Sections of `name | value` lines. */
function table(sections: Readonly<Record<string, Readonly<Record<string, string>>>>): string {
  return Object.entries(sections)
    .map(([section, rows]) => {
      const lines = Object.entries(rows).map(([name, value]) => `${name.padEnd(24)} | ${value}`);
      return `${section}\n${'='.repeat(section.length)}\n${lines.join('\n')}\n`;
    })
    .join('\n');
}
