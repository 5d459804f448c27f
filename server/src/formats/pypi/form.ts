/** The form of an upload, as twine made it the custom of all clients. */
import { drain, readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { clip, type RepoPath } from '../../core/ids.ts';
import type { ProtocolRequest } from '../../core/protocol.ts';
import type { Landed, Repository, StoreOptions } from '../../core/repository.ts';
import { type FormFields, type FormFile, FormProblem, readForm } from '../../lib/multipart.ts';
import { type DistributionName, distributionAt, homeOf, normalizeName, parseFilename } from './names.ts';
import { isSameVersion, normalizeVersion } from './versions.ts';

export interface Upload {
  readonly name: DistributionName;
  readonly path: RepoPath;
  readonly landed: Landed;
  readonly signature: Buffer | undefined;
  /** The field as it came. */
  readonly attestations: string | undefined;
}

const LIMITS = { maxParts: 5000, maxFieldBytes: 8 * 1024 * 1024 };
const MAX_SIGNATURE = 64 * 1024;
const HEX: Readonly<Record<string, number>> = { md5_digest: 32, sha256_digest: 64, blake2_256_digest: 64 };

/**
 * Reads the form and stores the bytes of its file, unnamed as yet; the caller discards them. Throws `invalid` with a
 * sentence about what is wrong with it, and what the repository throws where the caller may not deploy there.
 */
export async function readUpload(request: ProtocolRequest, repo: Repository): Promise<Upload> {
  let file: { readonly name: DistributionName; readonly path: RepoPath; readonly landed: Landed } | undefined;
  let signature: Buffer | undefined;
  const onFile = async ({ field, filename, bytes }: FormFile, fields: FormFields) => {
    if (field === 'gpg_signature') {
      signature = await readAll(bytes, { limit: MAX_SIGNATURE, what: 'signature' });
      return;
    }
    if (field !== 'content') throw new AppError('invalid', `The form has a file in the field "${clip(field)}".`);
    if (file) throw new AppError('invalid', 'The form has two files in the field "content". Upload one at a time.');
    const name = nameOf(fields, filename);
    const path = homeOf(name);
    const expected = digestsOf(fields);
    const landed = await store(repo, path, bytes, { expected, allChecksums: true, signal: request.signal });
    file = { name, path, landed };
  };
  try {
    const fields = await readForm(request.headers['content-type'] ?? '', {
      limits: LIMITS,
      drain: (take) => drain(request.body, take, request.signal),
      onFile,
    });
    requireAction(fields);
    if (!file) throw new AppError('invalid', 'The form has no file in its field "content".');
    requireDigests(fields, file);
    return { ...file, signature, attestations: fields.get('attestations') };
  } catch (error) {
    await file?.landed.discard();
    if (error instanceof FormProblem) {
      throw new AppError(error.tooLarge ? 'too_large' : 'invalid', error.message, {}, { cause: error });
    }
    throw error;
  }
}

/** What the file is called must be what the form says it is. */
function nameOf(fields: FormFields, filename: string): DistributionName {
  requireAction(fields);
  const [given, version] = [fields.get('name'), fields.get('version')];
  if (given === undefined || version === undefined) {
    throw new AppError('invalid', 'The form needs the fields "name" and "version" before the file.');
  }
  const project = normalizeName(given);
  if (project === undefined) throw new AppError('invalid', `"${clip(given)}" is no valid name of a project.`);
  const normal = normalizeVersion(version);
  if (normal === undefined) {
    throw new AppError('invalid', `"${clip(version)}" is no valid version. Versions are written as PEP 440 says.`);
  }
  const name = parseFilename(filename) && distributionAt(homeOf({ project, version: normal, filename }));
  if (!name) {
    throw new AppError(
      'invalid',
      `"${clip(filename)}" is no valid name of a wheel or a source distribution. Build the package again.`,
    );
  }
  if (name.project !== project) {
    throw new AppError('invalid', `The file "${clip(filename)}" does not belong to the project "${clip(given)}".`);
  }
  if (!isSameVersion(name.version, normal)) {
    throw new AppError('invalid', `The file "${clip(filename)}" is not of the version "${clip(version)}".`);
  }
  return name;
}

function requireAction(fields: FormFields): void {
  const action = fields.get(':action');
  if (action === 'file_upload') return;
  if (action === undefined) throw new AppError('invalid', 'The form needs the field ":action" before the file.');
  const gone = ['submit', 'submit_pkg_info', 'doc_upload', 'verify'].includes(action);
  throw new AppError(
    gone ? 'gone' : 'invalid',
    `The action "${clip(action)}" is not supported. Upload files with "file_upload".`,
  );
}

function digestsOf(fields: FormFields): NonNullable<StoreOptions['expected']> {
  for (const [field, length] of Object.entries(HEX)) {
    const digest = fields.get(field);
    if (digest === undefined || digest === '') continue;
    if (digest.length !== length || !/^[0-9a-f]+$/i.test(digest)) {
      throw new AppError('invalid', `The field "${field}" is no digest: it must have ${length} hex digits.`);
    }
  }
  const [md5, sha256] = [fields.get('md5_digest'), fields.get('sha256_digest')].map((hex) => hex?.toLowerCase());
  return { ...(md5 && { md5 }), ...(sha256 && { sha256 }) };
}

/** Digests may also come behind the file. */
function requireDigests(fields: FormFields, { landed, name }: { landed: Landed; name: DistributionName }): void {
  const { md5, sha256 } = digestsOf(fields);
  const isWrong = (sha256 !== undefined && sha256 !== landed.sha256) || (md5 !== undefined && md5 !== landed.md5);
  if (isWrong) throw mismatch(name.filename);
}

async function store(
  repo: Repository,
  path: RepoPath,
  bytes: FormFile['bytes'],
  options: StoreOptions,
): Promise<Landed> {
  try {
    return await repo.store(path, bytes, options);
  } catch (error) {
    const isMismatch = error instanceof AppError && error.code === 'invalid' && error.detail['mismatch'];
    throw isMismatch ? mismatch(path.slice(path.lastIndexOf('/') + 1)) : error;
  }
}

function mismatch(filename: string): AppError {
  return new AppError(
    'invalid',
    `The digest in the form is not that of the file "${clip(filename)}": it was damaged on its way. Upload it again.`,
  );
}
