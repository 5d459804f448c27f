/** Uploads by the protocol of ChartMuseum, which `helm cm-push` speaks, and by plain PUT. */
import { Readable } from 'node:stream';
import { drain, readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { clip, parseRepoPath, type RepoPath, splitPath } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Landed, Repository } from '../../core/repository.ts';
import { type FormFile, FormProblem, readForm } from '../../lib/multipart.ts';
import { depositAt, depositUploaded, openChart, targetOf, type Uploaded } from './deposit.ts';
import { chartAt, FOLDER, INDEX_FILE } from './names.ts';

const LIMITS = { maxParts: 20, maxFieldBytes: 64 * 1024 };
const MAX_PROVENANCE = 1024 * 1024;
/** The name by which the rights to upload are asked for before the chart tells its own. */
const UNNAMED = 'chart.tgz' as RepoPath;

/** `POST api/charts`: a form with a chart and its provenance, or the bytes of a chart. */
export async function postChart(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  return take(request, context, 'chart');
}

/** `POST api/prov`: the provenance of a chart alone. */
export async function postProvenance(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  return take(request, context, 'prov');
}

async function take(request: ProtocolRequest, context: ProtocolContext, alone: 'chart' | 'prov'): Promise<Reply> {
  const repo = await targetOf(context);
  const received = new Received(repo, request.signal);
  try {
    if (/^multipart\//i.test(request.headers['content-type'] ?? '')) await received.readForm(request);
    else await received.take(alone, request.body, '');
    await depositUploaded(repo, await received.uploaded(), isForced(request));
  } finally {
    await received.discard();
  }
  return { status: 201, json: { saved: true } };
}

function isForced({ query }: ProtocolRequest): boolean {
  return query.has('force') && query.get('force') !== 'false';
}

/** What came, unnamed as yet. */
class Received {
  readonly #repo: Repository;
  readonly #signal: AbortSignal;
  #chart: Landed | undefined;
  #provenance: Uploaded['provenance'];

  constructor(repo: Repository, signal: AbortSignal) {
    this.#repo = repo;
    this.#signal = signal;
  }

  async readForm(request: ProtocolRequest): Promise<void> {
    try {
      await readForm(request.headers['content-type'] ?? '', {
        limits: LIMITS,
        drain: (take) => drain(request.body, take, request.signal),
        onFile: ({ field, filename, bytes }: FormFile) => this.take(field, bytes, filename),
      });
    } catch (error) {
      if (!(error instanceof FormProblem)) throw error;
      throw new AppError(error.tooLarge ? 'too_large' : 'invalid', error.message, {}, { cause: error });
    }
  }

  async take(field: string, bytes: Readable, filename: string): Promise<void> {
    const known = field === 'chart' ? this.#chart : field === 'prov' ? this.#provenance : undefined;
    if (known) throw new AppError('invalid', `The form has two files in the field "${field}". Upload one at a time.`);
    if (field === 'chart') {
      const name = splitPath(filename as RepoPath).name as RepoPath;
      const path = chartAt(name) ? name : UNNAMED;
      this.#chart = await this.#repo.store(path, bytes, { allChecksums: true, signal: this.#signal });
      return;
    }
    if (field !== 'prov') {
      throw new AppError('invalid', `The form has a file in the field "${clip(field)}": known are "chart" and "prov".`);
    }
    this.#repo.require('deploy', `${UNNAMED}.prov` as RepoPath);
    const text = await readAll(bytes, { limit: MAX_PROVENANCE, what: 'provenance file' });
    const of = chartNamedIn(text.toString('utf8'));
    const landed = await this.#repo.store(`${of}.prov` as RepoPath, Readable.from([text]));
    this.#provenance = { landed, of };
  }

  async uploaded(): Promise<Uploaded> {
    if (!this.#chart && !this.#provenance) {
      throw new AppError('invalid', 'The form has no file in its field "chart", nor in "prov".');
    }
    const chart = this.#chart && { landed: this.#chart, metadata: await openChart(this.#chart) };
    return { chart, provenance: this.#provenance };
  }

  async discard(): Promise<void> {
    await this.#chart?.discard();
    await this.#provenance?.landed.discard();
  }
}

/** A provenance file names the archive and its digest behind what the chart says of itself. */
function chartNamedIn(text: string): RepoPath {
  const [, name = ''] = /^\s+(\S{1,250}\.tgz):\s*sha256:[0-9a-f]{64}\s*$/m.exec(text) ?? [];
  if (!text.startsWith('-----BEGIN PGP SIGNED MESSAGE-----') || name.includes('/') || !chartAt(name as RepoPath)) {
    throw new AppError('invalid', 'The provenance file is no signed message that names the archive of a chart.');
  }
  return parseRepoPath(name);
}

/** A plain PUT below the address that clients read from. */
export async function putFile(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  const path = parseRepoPath(request.params['path'] ?? '');
  if (path === INDEX_FILE || path.split('/', 1)[0] === FOLDER) {
    throw new AppError('conflict', `"${clip(path)}" is made by the server from the charts. Put the charts only.`);
  }
  const repo = await targetOf(context);
  const landed = await repo.store(path, request.body, { allChecksums: true, signal: request.signal });
  try {
    await depositAt(repo, path, landed);
  } finally {
    await landed.discard();
  }
  return { status: 201, json: { repo: repo.key, path: `/${path}`, checksums: { sha256: landed.sha256 } } };
}
