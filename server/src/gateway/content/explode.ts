/** Archives that are unpacked where they are put: every file in them is deployed as if it had come alone. */
import { Readable } from 'node:stream';
import { AppError, isAppError } from '../../core/errors.ts';
import type { Ingested } from '../../core/format.ts';
import { clip, joinPath, type Properties, parseRepoPath, type RepoPath, splitPath } from '../../core/ids.ts';
import type { Reply } from '../../core/protocol.ts';
import type { Deposit, Landed } from '../../core/repository.ts';
import { type ArchiveKind, archiveKindOf, readArchive } from '../../lib/archives/archive.ts';
import { type ArchiveLimits, ArchiveProblem, type ByteSource } from '../../lib/archives/budget.ts';
import type { ContentRequest } from './content-request.ts';
import { expectedOf, explained, isOn, requireTaken, verified } from './deploy-rules.ts';
import { requireFree, requireSole, type Settled, settle, withFreeNames } from './deposit.ts';
import { ingest } from './ingest.ts';
import { mediaTypeOf } from './media-types.ts';

export interface ExplodeLimits extends ArchiveLimits {
  readonly maxAtomicEntries: number;
}

const UNPACKED = /\.(zip|tar|tar\.gz|tgz)$/i;
/** Files named in one change, so that many small ones do not wait for the disk one by one. */
const BATCH_FILES = 50;
const BATCH_BYTES = 16 * 1024 * 1024;
const REPORTED = 20;

/** Whether the request asks for its body to be unpacked. */
export function asksToExplode({ exchange }: ContentRequest): boolean {
  const { headers } = exchange.request;
  return isOn(headers['x-explode-archive']) || isOn(headers['x-explode-archive-atomic']);
}

/** Deploys what is in the archive below the folder of its address; atomically, all of it or nothing. */
export async function explode(request: ContentRequest, properties: Properties): Promise<Reply> {
  const { repo, plain, exchange, archives } = request;
  const { path } = plain;
  const kind = UNPACKED.test(path) ? archiveKindOf(path) : undefined;
  if (!kind) {
    throw new AppError(
      'invalid',
      `"${clip(path, 300)}" cannot be unpacked: the name must end with .zip, .tar, .tar.gz or .tgz.`,
    );
  }
  const isAtomic = isOn(exchange.request.headers['x-explode-archive-atomic']);
  const archive = await verified(request, () =>
    repo.store(path, exchange.body(), {
      expected: expectedOf(request),
      signal: exchange.signal,
    }),
  );
  try {
    const unpacking = new Unpacking(request, { kind, source: await archive.content(), properties });
    const plan = await refusing(path, () => unpacking.plan(archives));
    if (isAtomic && plan.size > archives.maxAtomicEntries) {
      throw new AppError(
        'invalid',
        `The archive holds ${plan.size} files; at most ${archives.maxAtomicEntries} can be unpacked all together. Send it without X-Explode-Archive-Atomic, or in parts.`,
      );
    }
    return await refusing(path, () =>
      isAtomic ? unpacking.together(plan, archives) : unpacking.oneByOne(plan, archives),
    );
  } finally {
    await archive.discard();
  }
}

async function refusing<T>(path: RepoPath, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ArchiveProblem)) throw error;
    throw new AppError(
      'invalid',
      `The archive "${clip(path, 300)}" cannot be unpacked: ${error.message}.`,
      {},
      { cause: error },
    );
  }
}

/** Where the files of an archive go, by the names they have in it. */
type Plan = ReadonlyMap<string, RepoPath>;

interface Unpacked {
  readonly path: RepoPath;
  readonly landed: Landed;
}

interface Failure {
  readonly path: RepoPath;
  readonly error: AppError;
}

class Unpacking {
  readonly #request: ContentRequest;
  readonly #kind: ArchiveKind;
  readonly #source: ByteSource;
  readonly #properties: Properties;
  readonly #root: RepoPath;

  constructor(
    request: ContentRequest,
    what: { readonly kind: ArchiveKind; readonly source: ByteSource; readonly properties: Properties },
  ) {
    this.#request = request;
    this.#kind = what.kind;
    this.#source = what.source;
    this.#properties = what.properties;
    this.#root = splitPath(request.plain.path).parent;
  }

  /** Looks the whole archive through before anything of it is deployed. */
  async plan(limits: ArchiveLimits): Promise<Plan> {
    const plan = new Map<string, RepoPath>();
    const seen = new Map<string, string>();
    for await (const { name, type } of readArchive(this.#kind, this.#source, limits)) {
      if (type === 'other') throw new ArchiveProblem(`"${clip(name)}" is a link or a device`);
      const inside = this.#pathOf(name, type === 'folder');
      if (inside === '' || type === 'folder') continue;
      // Names that differ in case are one name to many systems that unpack the same archive.
      const folded = inside.normalize('NFC').toLowerCase();
      const twin = seen.get(folded);
      if (twin !== undefined) throw new ArchiveProblem(`it has "${clip(twin)}" and "${clip(name)}"`);
      seen.set(folded, name);
      const path = parseRepoPath(joinPath(this.#root, inside));
      requireTaken(this.#request, path);
      // Checksum files and indexes are computed, here as elsewhere.
      const kind = this.#request.format?.classify(path);
      if (kind?.kind === 'checksum' || (kind?.kind === 'document' && kind.puts === 'taken')) continue;
      plan.set(name, path);
    }
    if (plan.size === 0) throw new ArchiveProblem('it holds no files');
    return plan;
  }

  /** All files in one change. */
  async together(plan: Plan, limits: ArchiveLimits): Promise<Reply> {
    const { repo } = this.#request;
    for (const path of plan.values()) repo.require('deploy', path);
    const unpacked: Unpacked[] = [];
    try {
      for await (const one of this.#unpack(plan, limits)) unpacked.push(one);
      await this.#deposit(unpacked);
    } finally {
      for (const { landed } of unpacked) await landed.discard();
    }
    return this.#success(plan.size);
  }

  /** Each file for itself; what cannot be deployed is told of at the end. */
  async oneByOne(plan: Plan, limits: ArchiveLimits): Promise<Reply> {
    const failures: Failure[] = [];
    let batch: Unpacked[] = [];
    let batchBytes = 0;
    let deployed = 0;
    const flush = async () => {
      const files = batch;
      batch = [];
      batchBytes = 0;
      try {
        const outcomes = await this.#depositEach(files);
        deployed += files.length - outcomes.length;
        failures.push(...outcomes);
      } finally {
        for (const { landed } of files) await landed.discard();
      }
    };
    try {
      for await (const one of this.#unpack(plan, limits)) {
        batch.push(one);
        batchBytes += one.landed.size;
        if (batch.length >= BATCH_FILES || batchBytes >= BATCH_BYTES) await flush();
      }
    } finally {
      await flush();
    }
    const [first] = failures;
    return first ? this.#report(deployed, failures, first.error) : this.#success(deployed);
  }

  /** Deploys the files together if that goes, else each for itself; returns those that could not be. */
  async #depositEach(files: readonly Unpacked[]): Promise<readonly Failure[]> {
    if (files.length === 0 || !(await this.#attempt(files))) return [];
    const failures: Failure[] = [];
    for (const file of files) {
      const error = await this.#attempt([file]);
      if (error) failures.push({ path: file.path, error });
    }
    return failures;
  }

  async #attempt(files: readonly Unpacked[]): Promise<AppError | undefined> {
    try {
      await this.#deposit(files);
      return undefined;
    } catch (error) {
      if (isAppError(error) && error.code !== 'unavailable' && error.code !== 'quota_exceeded') return error;
      throw error;
    }
  }

  async *#unpack(plan: Plan, limits: ArchiveLimits): AsyncGenerator<Unpacked> {
    const { repo } = this.#request;
    for await (const entry of readArchive(this.#kind, this.#source, limits)) {
      const path = entry.type === 'file' ? plan.get(entry.name) : undefined;
      if (path === undefined) continue;
      const bytes = Readable.from(await entry.open(), { objectMode: false });
      yield { path, landed: await repo.store(this.#request.plain.path, bytes, { allChecksums: true }) };
    }
  }

  #deposit(files: readonly Unpacked[]): Promise<void> {
    return withFreeNames(this.#request, () => this.#depositSettled(files));
  }

  async #depositSettled(files: readonly Unpacked[]): Promise<void> {
    const { repo } = this.#request;
    const settled: Settled[] = [];
    const together: RepoPath[] = [];
    const deposits: [RepoPath, Deposit][] = [];
    const sole: [RepoPath, Ingested][] = [];
    for (const { path: named, landed } of files) {
      const place = await settle(this.#request, named, together);
      together.push(place.path);
      const { path } = place;
      settled.push(place);
      const known = await ingest(this.#request, path, landed);
      if (known.version?.sole) sole.push([path, known]);
      deposits.push([
        path,
        {
          content: landed,
          mediaType: known.mediaType ?? mediaTypeOf(path),
          properties: { ...(repo.allows('annotate', path) && this.#properties), ...known.properties },
          ...(known.version && { package: known.version.package, version: known.version }),
        },
      ]);
    }
    const where = files.length === 1 ? (files[0]?.path ?? this.#root) : this.#root;
    return explained(this.#request, where, () =>
      repo.change(where, async (tree) => {
        for (const place of settled) await requireFree(tree, place);
        const put = new Map(deposits);
        for (const [path, known] of sole) {
          await requireSole(tree, path, known);
          await tree.put(new Map([...put].filter(([each]) => each === path)));
          put.delete(path);
        }
        if (put.size > 0) await tree.put(put);
      }),
    );
  }

  /** The place inside the archive, without the dots that tar writes before names. */
  #pathOf(name: string, isFolder: boolean): RepoPath {
    const plain = name.replace(/^(\.\/)+/, '');
    const text = isFolder ? plain.replace(/\/+$/, '') : plain;
    if (text === '' || (isFolder && text === '.')) return '' as RepoPath;
    try {
      return parseRepoPath(text);
    } catch (error) {
      if (!isAppError(error, 'invalid')) throw error;
      throw new ArchiveProblem(`the name "${clip(name)}" is not allowed in it`, { cause: error });
    }
  }

  #success(count: number): Reply {
    // The JFrog CLI takes an upload for failed whose answer is neither JSON nor empty.
    return { status: 201, json: { repo: this.#request.repo.key, path: `/${this.#root}`, files: count } };
  }

  #report(deployed: number, failures: readonly Failure[], first: AppError): never {
    const shown = failures.slice(0, REPORTED).map(({ path, error }) => `${clip(path, 200)}: ${error.message}`);
    const more = failures.length > shown.length ? ` And ${failures.length - shown.length} more.` : '';
    throw new AppError(
      first.code,
      `${deployed} files of the archive were deployed, ${failures.length} were not: ${shown.join(' ')}${more}`,
      { ...first.detail, action: undefined },
    );
  }
}
