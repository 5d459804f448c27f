import { type Blob, BlobSource } from './content.ts';
import { buildImage, type Image, type ImageRef } from './image.ts';
import { type Job, type JobResult, monotonicMs, type Scenario } from './protocol.ts';
import { Session, uploadOf } from './session.ts';

type Operation = () => Promise<{ bytes: number; image?: ImageRef; digest?: string }>;

type Client = { readonly session: Session; readonly next: () => Operation | undefined };

const latencyLimit = 20_000;
const errorLimit = 5;
const leftLimit = 64;
// A round of the smallest images ends by its time, not because the prepared images ran out.
const preparedLimit = 2_000;

const sources = new Map<number, BlobSource>();

/** The clients of one job, connected and logged in, with what they will send already made. */
export async function openClients(job: Job, firstClient: number): Promise<Client[]> {
  const opened: Client[] = [];
  for (let index = 0; index < job.clients; index++) {
    const client = firstClient + index;
    const repository = `${job.endpoint.namePrefix}${job.repository ?? `bench/client-${client}`}`;
    const session = new Session(job.endpoint);
    await session.login(repository);
    opened.push({ session, next: prepare(session, job, { repository, client }) });
  }
  return opened;
}

/** Lets the clients work until the job's time or operations are over. */
export async function runClients(job: Job, clients: readonly Client[]): Promise<JobResult> {
  const cpuBefore = process.cpuUsage();
  const tally = new Tally();
  const startedAt = monotonicMs();
  const deadline = performance.now() + job.durationMs;
  await Promise.all(clients.map((client) => loop(client, deadline, tally)));
  const endedAt = monotonicMs();
  const cpu = process.cpuUsage(cpuBefore);
  for (const client of clients) client.session.close();
  return {
    operations: tally.operations,
    bytes: tally.bytes,
    startedAt,
    endedAt,
    latenciesMs: tally.latenciesMs,
    clientCpuMs: (cpu.user + cpu.system) / 1000,
    errors: tally.errors,
    images: tally.images,
    digests: tally.digests,
  };
}

class Tally {
  operations = 0;
  bytes = 0;
  readonly latenciesMs: number[] = [];
  readonly errors: string[] = [];
  readonly images: ImageRef[] = [];
  readonly digests: string[] = [];
}

async function loop(client: Client, deadline: number, tally: Tally): Promise<void> {
  for (let startedAt = performance.now(); startedAt < deadline; startedAt = performance.now()) {
    const operation = client.next();
    if (operation === undefined) return;
    try {
      const done = await operation();
      tally.operations++;
      tally.bytes += done.bytes;
      if (tally.latenciesMs.length < latencyLimit) tally.latenciesMs.push(performance.now() - startedAt);
      if (done.image !== undefined && tally.images.length < leftLimit) tally.images.push(done.image);
      if (done.digest !== undefined && tally.digests.length < leftLimit) tally.digests.push(done.digest);
    } catch (error) {
      tally.errors.push(error instanceof Error ? error.message : String(error));
      if (tally.errors.length >= errorLimit) return;
    }
  }
}

type Place = { readonly repository: string; readonly client: number };

function prepare(session: Session, job: Job, place: Place): () => Operation | undefined {
  const { scenario } = job;
  switch (scenario.kind) {
    case 'push': {
      const source = sourceOf(scenario.sizeBytes);
      const images = prepared(job, () => buildImage(source, place.repository));
      return drawing(images, (image: Image) => async () => {
        await session.pushImage(source, image, scenario.flow);
        return { bytes: image.layer.sizeBytes + image.config.length + image.manifest.length, image: image.ref };
      });
    }
    case 'put-blob': {
      const source = sourceOf(scenario.sizeBytes);
      const blobs = prepared(job, () => source.create());
      return drawing(blobs, (blob: Blob) => async () => {
        await session.pushBlob(place.repository, uploadOf(source, blob, scenario.flow));
        return { bytes: blob.sizeBytes, digest: blob.digest };
      });
    }
    case 'pull':
      return cycling(job, scenario.images, place.client, (image) => async () => ({
        bytes: await session.pullImage(image),
      }));
    case 'request':
      return cycling(job, prepareRequests(session, scenario), place.client, (exchange) => async () => {
        const reply = await session.send(exchange, 200);
        return { bytes: reply.bodyBytes };
      });
  }
}

function prepareRequests(session: Session, scenario: Extract<Scenario, { kind: 'request' }>) {
  return scenario.paths.map((path) => session.prepare(scenario.method, path, scenario.headers));
}

/** Images or blobs enough for the whole round: a digest is computed before the clock starts. */
function prepared<T>(job: Job, create: () => T): T[] {
  const count = Math.min(job.operationsPerClient, preparedLimit);
  return Array.from({ length: count }, create);
}

function drawing<T>(items: T[], perform: (item: T) => Operation): () => Operation | undefined {
  return () => {
    const item = items.pop();
    return item === undefined ? undefined : perform(item);
  };
}

function cycling<T>(job: Job, items: readonly T[], start: number, perform: (item: T) => Operation) {
  const operations = items.map(perform);
  let count = 0;
  // Clients start at places far from each other, so they do not ask for the same thing at once.
  let position = start * 7919;
  return () => {
    if (count >= job.operationsPerClient) return undefined;
    count++;
    return operations[position++ % operations.length];
  };
}

function sourceOf(sizeBytes: number): BlobSource {
  const known = sources.get(sizeBytes);
  if (known !== undefined) return known;
  const made = new BlobSource(sizeBytes);
  sources.set(sizeBytes, made);
  return made;
}
