import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ClientName } from './versions.ts';

/** What the installation found out about one client. */
export type InstalledClient =
  | { readonly state: 'installed'; readonly path: string; readonly version: string; readonly installMs: number }
  | { readonly state: 'absent'; readonly reason: string };

export type InstalledClients = Readonly<Partial<Record<ClientName, InstalledClient>>>;

/** Where built clients, their sources and Go's caches live. Nothing of them is written elsewhere. */
export const clientFolder = resolve(
  process.env['ENTREPOT_CLIENTS_DIR'] ?? join(import.meta.dirname, '../../../.clients'),
);

export const installedPath = join(clientFolder, 'installed.json');

/** Answers what is known of a client; one that was never installed is absent with that reason. */
export function getClient(name: ClientName): InstalledClient {
  return readInstalled()[name] ?? { state: 'absent', reason: 'not installed: run "make test-clients"' };
}

/** Answers the installation's record, empty before the first one. */
export function readInstalled(): InstalledClients {
  try {
    return JSON.parse(readFileSync(installedPath, 'utf8')) as InstalledClients;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}
