import type { InstalledClient } from '../../server/test/clients/client-folder.ts';

export type Installed = Extract<InstalledClient, { readonly state: 'installed' }>;

/** What was installed; throws the reason where it was not. */
export function requireInstalled(name: string, client: InstalledClient): Installed {
  if (client.state === 'absent') throw new Error(`${name} cannot be measured: ${client.reason}`);
  return client;
}
