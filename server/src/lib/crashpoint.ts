/**
 * Named places where a test ends the process as a power cut or a kill would. Inert unless the environment names one:
 * `ENTREPOT_CRASHPOINT=name` or `name:n` for the n-th time it is reached.
 */
const [target, nth = '1'] = (process.env['ENTREPOT_CRASHPOINT'] ?? '').split(':');
let hits = 0;

/** Every crash point of the server, so that a test can prove each was hit. */
export const CRASHPOINTS = [
  'upload.row-written',
  'upload.chunk-synced',
  'upload.offset-written',
  'blob.verified',
  'blob.synced',
  'blob.renamed',
  'blob.folder-synced',
  'change.written',
  'change.committed',
  'change.durable',
  'delete.written',
  'delete.durable',
  'sweep.condemned',
  'sweep.object-removed',
  'sweep.trash-cleared',
  'migration.applied',
  'migration.recorded',
] as const;
export type Crashpoint = (typeof CRASHPOINTS)[number];

/** Ends the process at once if a test asked for it here. */
export function crashpoint(name: Crashpoint): void {
  if (target !== name) return;
  hits += 1;
  if (hits === Number(nth)) process.kill(process.pid, 'SIGKILL');
}
