/**
 * Matrix parameters, `;key=value,value`: on a deploy they are properties, on a read they choose by properties. A
 * backslash takes its meaning from a comma, a backslash, a bar or an equals sign.
 */
import { AppError } from '../../core/errors.ts';
import { clip, type Properties } from '../../core/ids.ts';

/** One condition that a file must meet to be served. */
export interface PropertyFilter {
  readonly key: string;
  /** `if-present`: where the key is there, it must have a value asked for; `must`: it must be there; `not`: must not. */
  readonly kind: 'if-present' | 'must' | 'not';
  /** None: any value. */
  readonly values: readonly string[];
}

const MAX_VALUES = 1000;
const MAX_KEY_BYTES = 255;
/** Values end up in an index entry, whose size databases limit. */
const MAX_VALUE_BYTES = 2300;
/** An escaped character, in the encoded form in which addresses hold it. */
const ESCAPED = /%5C(%2C|%5C|%7C|%3D|[,|=])/gi;
const KEY = /^[\p{L}_][^\s)(}{\][*+^$\\/~`!@#%&<>;=,±§|\u0000-\u001f\u007f]*$/u;

/** What a deploy sets; a key that is given again has all its values. */
export function propertiesOf(parameters: readonly string[]): Properties {
  const properties = new Map<string, string[]>();
  for (const { key, values } of parseAll(parameters)) {
    requireKey(key);
    properties.set(key, [...(properties.get(key) ?? []), ...values]);
  }
  return Object.fromEntries(properties);
}

/** What a read chooses by. */
export function filtersOf(parameters: readonly string[]): readonly PropertyFilter[] {
  return parseAll(parameters).map(({ rawKey, values }) => {
    const operator = /[+-]$/.exec(rawKey)?.[0];
    // A plus after the value says the same as one after the key.
    const last = values.at(-1);
    const isMarked = operator === undefined && last?.endsWith(' ') === true;
    const wanted = isMarked ? [...values.slice(0, -1), last.slice(0, -1)] : values;
    const key = decode(operator === undefined ? rawKey : rawKey.slice(0, -1));
    requireKey(key);
    return {
      key,
      kind: operator === '-' ? 'not' : operator === '+' || isMarked ? 'must' : 'if-present',
      values: wanted.filter((value) => value !== ''),
    };
  });
}

/** Whether a file with these properties is among those asked for. */
export function passes(properties: Properties, filters: readonly PropertyFilter[]): boolean {
  return filters.every(({ key, kind, values }) => {
    const present = Object.hasOwn(properties, key) ? properties[key] : undefined;
    const matches = present !== undefined && (values.length === 0 || values.some((value) => present.includes(value)));
    if (kind === 'not') return !matches;
    return matches || (kind === 'if-present' && present === undefined);
  });
}

interface Parameter {
  readonly rawKey: string;
  readonly key: string;
  readonly values: readonly string[];
}

function parseAll(parameters: readonly string[]): Parameter[] {
  let count = 0;
  return parameters.map((text) => {
    const parameter = parse(text);
    count += parameter.values.length;
    if (count > MAX_VALUES) throw new AppError('invalid', `More than ${MAX_VALUES} properties were given.`);
    return parameter;
  });
}

/** Splits before it decodes, so that what is encoded never separates. */
function parse(text: string): Parameter {
  const literal = text.replace(ESCAPED, (_all, char: string) => (char.length === 1 ? encodeURIComponent(char) : char));
  const equals = literal.indexOf('=');
  const rawKey = equals < 0 ? literal : literal.slice(0, equals);
  const key = decode(rawKey);
  const values =
    equals < 0
      ? ['']
      : literal
          .slice(equals + 1)
          .split(',')
          .map(decode);
  for (const value of values) {
    if (Buffer.byteLength(value) > MAX_VALUE_BYTES) {
      throw new AppError(
        'invalid',
        `The value of the property "${clip(key)}" is longer than ${MAX_VALUE_BYTES} bytes.`,
      );
    }
  }
  return { rawKey, key, values };
}

/** Clients encode as forms do: a plus is a space. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new AppError('invalid', 'A property holds a percent sign that does not encode UTF-8 text.');
  }
}

function requireKey(key: string): void {
  if (KEY.test(key) && Buffer.byteLength(key) <= MAX_KEY_BYTES) return;
  throw new AppError(
    'invalid',
    `"${clip(key)}" cannot be the name of a property: up to ${MAX_KEY_BYTES} bytes are needed that begin with a letter and hold no space and none of )(}{][*+^$\\/~\`!@#%&<>;=,|.`,
  );
}
