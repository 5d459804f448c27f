/** Plain paths: `/artifactory/<repository>/<path>` with matrix parameters, as every package type is reachable. */
import { AppError } from '../core/errors.ts';
import { clip, type Properties, parseRepoPath, type RepoPath } from '../core/ids.ts';
import { decodeSegment } from '../core/target.ts';

export interface PlainPath {
  readonly path: RepoPath;
  /** From matrix parameters; never part of the path. */
  readonly properties: Properties;
  /** The address ended with a slash: a folder is meant. */
  readonly folder: boolean;
}

const MAX_PROPERTIES = 1000;
const MAX_KEY_BYTES = 255;
/** Values end up in an index entry, whose size databases limit. */
const MAX_VALUE_BYTES = 2300;

/** Takes the raw segments below the repository's key. Parameters are split off before anything is decoded. */
export function parsePlainPath(segments: readonly string[]): PlainPath {
  const properties = new Map<string, string[]>();
  let count = 0;
  const names = segments.map((segment) => {
    const [name = '', ...parameters] = segment.split(';');
    for (const parameter of parameters) {
      if (parameter === '') continue;
      count += addParameter(properties, parameter);
      if (count > MAX_PROPERTIES) throw new AppError('invalid', `More than ${MAX_PROPERTIES} properties were given.`);
    }
    const decoded = decodeSegment(name);
    if (decoded.includes('%2F')) {
      throw new AppError('invalid', 'The path holds an encoded slash. Send "/" where folders are separated.');
    }
    return decoded;
  });
  const folder = names.at(-1) === '' && names.length > 0;
  const path = parseRepoPath((folder ? names.slice(0, -1) : names).join('/'));
  return { path, properties: Object.fromEntries(properties), folder };
}

/** `key=value,value`, each decoded after the splitting; returns how many values it held. */
function addParameter(properties: Map<string, string[]>, parameter: string): number {
  const equals = parameter.indexOf('=');
  const key = decodeSegment(equals < 0 ? parameter : parameter.slice(0, equals)).replaceAll('%2F', '/');
  const values =
    equals < 0
      ? ['']
      : parameter
          .slice(equals + 1)
          .split(',')
          .map((value) => decodeValue(value));
  if (key === '' || Buffer.byteLength(key) > MAX_KEY_BYTES || /[|=\s]/.test(key)) {
    throw new AppError('invalid', `"${clip(key)}" cannot be the name of a property.`);
  }
  for (const value of values) {
    if (Buffer.byteLength(value) > MAX_VALUE_BYTES) {
      throw new AppError(
        'invalid',
        `The value of the property "${clip(key)}" is longer than ${MAX_VALUE_BYTES} bytes.`,
      );
    }
  }
  properties.set(key, [...(properties.get(key) ?? []), ...values]);
  return values.length;
}

function decodeValue(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    throw new AppError('invalid', 'A property value holds a percent sign that does not encode UTF-8 text.');
  }
}
