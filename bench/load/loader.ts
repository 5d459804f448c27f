// The child process in which the clients live, so that their processor time is counted apart from the servers'.
import { openClients, runClients } from './clients.ts';
import type { FromLoader, Go, Job, ToLoader } from './protocol.ts';

const jobs = new Map<number, { readonly job: Job; readonly clients: Awaited<ReturnType<typeof openClients>> }>();

process.on('message', (message: ToLoader | Go) => {
  serve(message).catch((error: unknown) => {
    reply({ type: 'failed', id: message.id, message: error instanceof Error ? error.message : String(error) });
  });
});
// Without its parent a loader has nothing to do.
process.on('disconnect', () => process.exit(0));

async function serve(message: ToLoader | Go): Promise<void> {
  if (message.type === 'prepare') {
    jobs.set(message.id, { job: message.job, clients: await openClients(message.job, message.firstClient) });
    reply({ type: 'ready', id: message.id });
    return;
  }
  const prepared = jobs.get(message.id);
  if (prepared === undefined) throw new Error(`Job ${message.id} was not prepared`);
  jobs.delete(message.id);
  reply({ type: 'done', id: message.id, result: await runClients(prepared.job, prepared.clients) });
}

function reply(message: FromLoader): void {
  process.send?.(message);
}
