/** Merging a partial configuration into the one there is: deep, with null for what goes away. */
import type { Secrets } from '../auth/secrets.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { requireSection } from './configuration-sections.ts';
import { MASK, type Settings } from './settings.ts';

const PURPOSE = 'configuration';
/** Sections of elements with names: what was removed from them stays away. */
const NAMED = new Set(['propertySets', 'repoLayouts', 'proxies', 'backups', 'reverseProxies']);
const SECRET_NAMES = /password|passphrase|secret|privatekey/i;

/** The sections with the changes made, and how many values differ afterwards. `invalid` where one cannot be taken. */
export function mergeSections(
  secrets: Secrets,
  before: Settings,
  patch: Settings,
): { readonly sections: Settings; readonly changes: number } {
  const sections: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(patch)) {
    const section = requireSection(name);
    if (value === null) {
      delete sections[name];
      continue;
    }
    // Of the others only what was set is kept: what was not follows its default.
    const current = sections[name] ?? (NAMED.has(name) ? section.fallback : undefined);
    const merged = merge(current, value);
    const checked = section.schema.safeParse(withMasks(merged));
    if (!checked.success) {
      const issue = checked.error.issues[0];
      const problem = (issue?.message ?? 'it does not fit').replace(/^Invalid input: /, '').replace(/\.$/, '');
      const path = [name, ...(issue?.path.map(String) ?? [])].join('.');
      throw new AppError('invalid', `The field "${clip(path)}" is not acceptable: ${problem}.`);
    }
    const sealed = seal(secrets, checked.data, current, name);
    sections[name] = name === 'proxies' ? withoutMovedPasswords(sealed, current) : sealed;
  }
  return { sections, changes: countChanges(before, sections) };
}

/** A password that was entered for one proxy is not sent to another host or port. */
function withoutMovedPasswords(after: unknown, before: unknown): unknown {
  if (!isMap(after) || !isMap(before)) return after;
  const kept = (proxy: unknown, was: unknown) => {
    if (!isMap(proxy) || !isMap(was) || proxy['password'] !== was['password']) return proxy;
    const isSame = proxy['host'] === was['host'] && proxy['port'] === was['port'];
    return isSame || !isSealed(proxy['password']) ? proxy : { ...proxy, password: '' };
  };
  return Object.fromEntries(Object.entries(after).map(([key, proxy]) => [key, kept(proxy, before[key])]));
}

function merge(current: unknown, patch: unknown): unknown {
  if (!isMap(patch)) return patch ?? '';
  const merged: Record<string, unknown> = isMap(current) && !isSealed(current) ? { ...current } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = merge(merged[name], value);
  }
  return merged;
}

/** Secrets as their masks, so that a schema sees text. */
function withMasks(value: unknown): unknown {
  if (isSealed(value)) return MASK;
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withMasks(item)]));
}

/** Encrypts what names say is secret; a mask stands for the secret there was. */
function seal(secrets: Secrets, value: unknown, before: unknown, path: string): unknown {
  if (!isMap(value)) return value;
  const known = isMap(before) ? before : {};
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => {
      const place = `${path}.${name}`;
      if (typeof item !== 'string' || !SECRET_NAMES.test(name)) return [name, seal(secrets, item, known[name], place)];
      if (item === MASK) return [name, isSealed(known[name]) ? known[name] : ''];
      return [name, item === '' ? '' : { sealed: secrets.seal(PURPOSE, item, place) }];
    }),
  );
}

/** A section as it may be shown: with what is in force where nothing was set, and masks for secrets. */
export function shownSection(name: string, sections: Settings, defaults: Settings = {}): unknown {
  const fallback = defaults[name] ?? requireSection(name).fallback;
  const stored = withMasks(sections[name]);
  if (stored === undefined) return fallback;
  return NAMED.has(name) || !isMap(stored) || !isMap(fallback) ? stored : { ...fallback, ...stored };
}

/** A secret of a section in the clear, by the path of its field; undefined where there is none. */
export function openConfigured(secrets: Secrets, value: unknown, path: string): string | undefined {
  return isSealed(value) ? secrets.open(PURPOSE, value.sealed, path).toString('utf8') : undefined;
}

function countChanges(before: unknown, after: unknown): number {
  if (!isMap(before) || !isMap(after)) return JSON.stringify(before) === JSON.stringify(after) ? 0 : 1;
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].reduce((sum, name) => sum + countChanges(before[name], after[name]), 0);
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSealed(value: unknown): value is { readonly sealed: string } {
  return isMap(value) && typeof value['sealed'] === 'string' && Object.keys(value).length === 1;
}
