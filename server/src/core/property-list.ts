/** Properties as clients write them into an address: `key=value,value;key=value`. */
import { AppError } from './errors.ts';
import { clip, type Properties } from './ids.ts';

const MAX_PROPERTIES = 1000;
const MAX_KEY_LENGTH = 255;
/** Values end up in an index entry, whose size databases limit. */
const MAX_VALUE_BYTES = 2300;
const FORBIDDEN = new Set([...')(}{][*+^$\\/~`!@#%&<>;=,±§|']);

/** Takes a key that a property can have, refuses others as `invalid`. */
export function requirePropertyKey(key: string): void {
  const bad = [...key].find((character) => FORBIDDEN.has(character) || /[\s\p{Cc}]/u.test(character));
  let problem: string | undefined;
  if (key === '') problem = 'it is empty';
  else if (key.length > MAX_KEY_LENGTH) problem = `it is longer than ${MAX_KEY_LENGTH} characters`;
  else if (!/^\p{L}/u.test(key)) problem = 'it does not begin with a letter';
  else if (bad !== undefined) problem = `the character '${clip(bad)}' is not allowed in it`;
  if (problem) throw new AppError('invalid', `Property key: ${clip(key)} is invalid due to this: ${problem}.`);
}

/** Takes values that can be kept, refuses others as `invalid`. */
export function requirePropertyValue(key: string, value: string): void {
  if (Buffer.byteLength(value) > MAX_VALUE_BYTES) {
    throw new AppError('invalid', `The value of the property "${clip(key)}" is longer than ${MAX_VALUE_BYTES} bytes.`);
  }
  if (value.includes('\u0000') || !value.isWellFormed()) {
    throw new AppError('invalid', `The value of the property "${clip(key)}" is not Unicode text.`);
  }
}

/**
 * Takes the raw value of a query parameter. `;` and `|` separate properties, `,` separates values, and a backslash
 * takes its meaning from a character. Where the client encoded only what it had to, an encoded `;` is part of a value;
 * where it encoded everything, it separates.
 */
export function parsePropertyList(raw: string): Properties {
  const partly = /[=;]/.test(raw);
  const parts = partly ? raw.split(';').map((part) => tokens(decode(part), false)) : [tokens(decode(raw), true)];
  const found = new Map<string, string[]>();
  let count = 0;
  for (const { key, values } of parts.flat()) {
    requirePropertyKey(key);
    count += values.length;
    if (count > MAX_PROPERTIES) throw new AppError('invalid', `More than ${MAX_PROPERTIES} properties were given.`);
    for (const value of values) {
      if (value === '') throw new AppError('invalid', 'Properties value cannot be empty.');
      requirePropertyValue(key, value);
    }
    found.set(key, [...(found.get(key) ?? []), ...values]);
  }
  if (found.size === 0) throw new AppError('invalid', 'No properties were given: send properties=key=value.');
  return Object.fromEntries(found);
}

/** Takes the raw value of a query parameter with keys, separated by commas. */
export function parseKeyList(raw: string): readonly string[] {
  const keys = decode(raw)
    .split(/[,;|]/)
    .map((key) => key.trim())
    .filter((key) => key !== '');
  if (keys.length === 0) throw new AppError('invalid', 'No properties were named: send properties=key1,key2.');
  if (keys.length > MAX_PROPERTIES) throw new AppError('invalid', `More than ${MAX_PROPERTIES} properties were named.`);
  return keys;
}

/** The raw value of a parameter of a query, which may hold characters that mean something before they are decoded. */
export function rawParameter(rawQuery: string, name: string): string | undefined {
  for (const pair of rawQuery.split('&')) {
    if (pair === name) return '';
    if (pair.startsWith(`${name}=`)) return pair.slice(name.length + 1);
  }
  return undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new AppError('invalid', 'The properties hold a percent sign that does not encode UTF-8 text.');
  }
}

interface Token {
  readonly key: string;
  readonly values: readonly string[];
}

function tokens(text: string, semicolons: boolean): Token[] {
  const found: Token[] = [];
  let fields: string[] = [''];
  let key: string | undefined;
  const append = (character: string) => {
    fields[fields.length - 1] += character;
  };
  const finish = () => {
    if (key === undefined) {
      if (fields.length === 1 && fields[0]?.trim() === '') return;
      throw new AppError('invalid', `"${clip(fields.join(','))}" is no property: a key, "=" and a value are needed.`);
    }
    found.push({ key: key.trim(), values: fields });
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? '';
    if (character === '\\') {
      at += 1;
      if (at === text.length)
        throw new AppError('invalid', 'The properties end with a backslash that escapes nothing.');
      append(text[at] ?? '');
    } else if (character === '|' || (semicolons && character === ';')) {
      finish();
      [fields, key] = [[''], undefined];
    } else if (character === '=' && key === undefined) {
      [key, fields] = [fields.join(','), ['']];
    } else if (character === ',') {
      fields.push('');
    } else {
      append(character);
    }
  }
  finish();
  return found;
}
