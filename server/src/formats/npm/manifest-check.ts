/** What a document says of a version must be what its tarball says: clients show the one and install the other. */
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import { recordOf } from './release.ts';
import type { Tarball } from './tarball.ts';

const SCRIPTS = ['preinstall', 'install', 'postinstall'];
/** What npm runs by itself where there is a binding.gyp. */
const GYP_SCRIPT = 'node-gyp rebuild';

type Manifest = Readonly<Record<string, unknown>>;

/** Refuses, as `invalid`, another name or version, other dependencies and other scripts at installation. */
export function requireSameManifest(document: Manifest, tarball: Tarball): void {
  const inside = tarball.manifest;
  for (const field of ['name', 'version']) {
    const text = field === 'version' ? bareVersion(inside[field]) : inside[field];
    if (text !== document[field]) throw differs(field, document[field], inside[field]);
  }
  // Clients write optional dependencies among the others too.
  const dependencies = (manifest: Manifest) => ({
    ...texts(manifest['dependencies']),
    ...texts(manifest['optionalDependencies']),
  });
  requireSame('dependencies', dependencies(document), dependencies(inside));
  requireSame('peerDependencies', texts(document['peerDependencies']), texts(inside['peerDependencies']));
  for (const name of SCRIPTS) {
    const [said, real] = [recordOf(document['scripts'])[name], recordOf(inside['scripts'])[name]];
    const isImplied = name === 'install' && real === undefined && tarball.hasGyp && said === GYP_SCRIPT;
    if (said !== real && !isImplied) throw differs(`scripts.${name}`, said, real);
  }
}

function bareVersion(version: unknown): unknown {
  return typeof version === 'string' ? version.trim().replace(/^[v=]+/, '') : version;
}

/** Those members that are texts; lists and other things that only some clients read are left to them. */
function texts(value: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(recordOf(value)).filter(([, item]) => typeof item === 'string');
  return Object.fromEntries(entries.map(([key, item]) => [key, (item as string).trim()]));
}

function requireSame(
  field: string,
  said: Readonly<Record<string, string>>,
  real: Readonly<Record<string, string>>,
): void {
  for (const key of new Set([...Object.keys(said), ...Object.keys(real)])) {
    const [a, b] = [own(said, key), own(real, key)];
    if (a !== b) throw differs(`${field}.${key}`, a, b);
  }
}

function own(record: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function differs(field: string, said: unknown, real: unknown): AppError {
  const text = (value: unknown) => (value === undefined ? 'nothing' : `"${clip(String(value), 80)}"`);
  return new AppError(
    'invalid',
    `The document says ${text(said)} of "${clip(field)}", but the package.json in the tarball says ${text(real)}. Pack the package anew and publish that.`,
  );
}
