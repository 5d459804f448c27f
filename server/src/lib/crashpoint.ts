/**
 * Named places where a test ends the process as a power cut or a kill would. Inert unless the environment names one:
 * `ENTREPOT_CRASHPOINT=name`, `name:n` for the n-th time it is reached, or `first,second` for the second after the
 * first.
 */
const ahead = (process.env['ENTREPOT_CRASHPOINT'] ?? '').split(',').map((step) => {
  const [name, nth = '1'] = step.split(':');
  return { name, left: Number(nth) };
});

/** Every crash point of the server, so that a test can prove each was hit. */
export const CRASHPOINTS = [
  'upload.row-written',
  'upload.chunk-synced',
  'upload.offset-written',
  'blob.staged',
  'blob.verified',
  'blob.synced',
  'blob.announced',
  'blob.renamed',
  'blob.folder-synced',
  'multipart.part-synced',
  'multipart.part-recorded',
  'multipart.queued',
  'multipart.assembled',
  'multipart.finished',
  'change.written',
  'change.committed',
  'change.durable',
  'change.settled',
  'landing.object-removed',
  'leftover.row-removed',
  'operation.page',
  'operation.done',
  'sweep.condemned',
  'sweep.object-removed',
  'sweep.trash-cleared',
  'migration.applied',
  'migration.recorded',
] as const;
export type Crashpoint = (typeof CRASHPOINTS)[number];

/** Ends the process at once if a test asked for it here. */
export function crashpoint(name: Crashpoint): void {
  const [next] = ahead;
  if (next?.name !== name) return;
  next.left -= 1;
  if (next.left > 0) return;
  ahead.shift();
  if (ahead.length === 0) process.kill(process.pid, 'SIGKILL');
}
