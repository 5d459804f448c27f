/**
 * Attestations that come with an upload (PEP 740): kept, and served as provenance. What they say of the file is checked
 * against the file; their signatures are for whoever installs it to check.
 */
import { X509Certificate } from 'node:crypto';
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';

export const INTEGRITY_TYPE = 'application/vnd.pypi.integrity.v1+json';
const MAX_ATTESTATIONS = 2;
const MAX_BYTES = 1024 * 1024;

interface Attested {
  readonly filename: string;
  readonly sha256: string;
}

/** The provenance of a file from the form's field; throws `invalid` for what attests nothing, or another file. */
export function readAttestations(text: string, file: Attested): Buffer {
  if (text.length > MAX_BYTES) throw refusal(file, 'they are too large');
  const attestations = parsed(text, file);
  if (!Array.isArray(attestations) || attestations.length === 0 || attestations.length > MAX_ATTESTATIONS) {
    throw refusal(file, `they must be a list of 1 to ${MAX_ATTESTATIONS}`);
  }
  const bundles = attestations.map((attestation: unknown) => {
    requireAbout(attestation, file);
    return { publisher: publisherOf(attestation), attestations: [attestation] };
  });
  return Buffer.from(JSON.stringify({ version: 1, attestation_bundles: joined(bundles) }));
}

interface Bundle {
  readonly publisher: Readonly<Record<string, unknown>>;
  readonly attestations: readonly unknown[];
}

/** Attestations of one publisher are one bundle. */
function joined(bundles: readonly Bundle[]): Bundle[] {
  const groups = Map.groupBy(bundles, ({ publisher }) => JSON.stringify(publisher));
  return [...groups.values()].map((group) => ({
    publisher: group[0]?.publisher ?? {},
    attestations: group.flatMap(({ attestations }) => attestations),
  }));
}

function requireAbout(attestation: unknown, file: Attested): void {
  const version = valueAt(attestation, ['version']);
  const statement = valueAt(attestation, ['envelope', 'statement']);
  const signature = valueAt(attestation, ['envelope', 'signature']);
  const certificate = valueAt(attestation, ['verification_material', 'certificate']);
  if (version !== 1 || ![statement, signature, certificate].every((part) => typeof part === 'string')) {
    throw refusal(file, 'one of them is no attestation of version 1');
  }
  const said = parsed(Buffer.from(String(statement), 'base64').toString('utf8'), file);
  const subjects = valueAt(said, ['subject']);
  const [subject, ...others] = Array.isArray(subjects) ? (subjects as unknown[]) : [];
  const name = valueAt(subject, ['name']);
  const digest = valueAt(subject, ['digest', 'sha256']);
  if (others.length > 0 || name !== file.filename || digest !== file.sha256) {
    throw refusal(file, `one of them is about "${clip(String(name))}" with the SHA-256 ${clip(String(digest), 64)}`);
  }
}

/** Who signed, as the certificate says; whether that is true is for whoever verifies it. */
function publisherOf(attestation: unknown): Bundle['publisher'] {
  const der = valueAt(attestation, ['verification_material', 'certificate']);
  const names = subjectOf(Buffer.from(String(der), 'base64'));
  const [, repository, workflow] =
    /URI:https:\/\/github\.com\/([^/,]+\/[^/,]+)\/\.github\/workflows\/([^@,]+)@/.exec(names) ?? [];
  if (repository !== undefined) return { kind: 'GitHub', repository, workflow, environment: null };
  const [, project, file] = /URI:https:\/\/gitlab\.com\/(.+?)\/\/([^@,]+)@/.exec(names) ?? [];
  if (project !== undefined) return { kind: 'GitLab', repository: project, workflow_filepath: file, environment: null };
  const [, email] = /email:([^,\s]+)/.exec(names) ?? [];
  return email === undefined ? { kind: 'Unknown' } : { kind: 'Google', email };
}

function subjectOf(certificate: Buffer): string {
  try {
    return new X509Certificate(certificate).subjectAltName ?? '';
  } catch {
    return '';
  }
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let at = value;
  for (const name of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Readonly<Record<string, unknown>>)[name];
  }
  return at;
}

function parsed(text: string, file: Attested): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw refusal(file, 'they are no JSON');
  }
}

function refusal({ filename }: Attested, problem: string): AppError {
  return new AppError('invalid', `The attestations of "${clip(filename)}" are not valid: ${problem}.`);
}
