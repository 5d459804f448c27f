/** What strangers wrote, as it may be shown: within limits, and addresses only where a browser may follow them. */
import type { Readable } from 'node:stream';
import { readAll } from './bodies.ts';
import type { Fact, Person, Readme } from './package-view.ts';
import type { Asset } from './repository.ts';

export const MAX_README = 256 * 1024;
export const MAX_DEPENDENCIES = 1000;
const MAX_TEXT = 4000;
const MAX_ITEMS = 100;
const MAX_URL = 2000;

/** A text without what no terminal or page should get; undefined for what is none, or empty. */
export function shownText(value: unknown, limit = MAX_TEXT): string | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value
    .slice(0, limit)
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, ' ')
    .toWellFormed()
    .trim();
  return text === '' ? undefined : text;
}

/** Those of the items that are texts. */
export function shownTexts(value: unknown, limit = MAX_ITEMS): string[] {
  const items = Array.isArray(value) ? value : [];
  return items.slice(0, limit).flatMap((item) => shownText(item, 500) ?? []);
}

/** An object as it is, and an empty one in the place of anything else. */
export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/** Those of the facts of which something is known. */
export function shownFacts(all: readonly (readonly [name: string, value: unknown])[]): Fact[] {
  return all.flatMap(([name, value]) => {
    const text = shownText(value, 500);
    return text === undefined ? [] : [{ name, value: text }];
  });
}

/** An address that a page may link to; undefined for any other. */
export function webUrl(value: unknown): string | undefined {
  const text = shownText(value, MAX_URL + 1);
  if (text === undefined || text.length > MAX_URL) return undefined;
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') return undefined;
  return url.href;
}

/** `Name <mail> (address)` as people write it, or an object of the three. */
export function shownPerson(value: unknown): Person | undefined {
  if (typeof value === 'string') {
    const [, name, email, url] = /^([^<(]*)(?:<([^<>]*)>)?\s*(?:\(([^()]*)\))?/.exec(value.slice(0, 1000)) ?? [];
    return shownPerson({ name, email, url });
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const of = value as Readonly<Record<string, unknown>>;
  const email = shownText(of['email'], 300);
  const name = shownText(of['name'], 300) ?? email;
  const url = webUrl(of['url']);
  if (name === undefined) return undefined;
  return { name, ...(email !== undefined && { email }), ...(url !== undefined && { url }) };
}

export function shownPeople(value: unknown): Person[] {
  const items = Array.isArray(value) ? value : value === undefined ? [] : [value];
  const found = new Map<string, Person>();
  for (const item of items.slice(0, MAX_ITEMS)) {
    const person = shownPerson(item);
    if (person && !found.has(person.name)) found.set(person.name, person);
  }
  return [...found.values()];
}

/** A readme with the type that its name or its author says it has; undefined for an empty one. */
export function shownReadme(
  text: string,
  kind: { readonly name?: string; readonly type?: string },
): Readme | undefined {
  const clean = text.replaceAll('\u0000', '').toWellFormed();
  if (clean.trim() === '') return undefined;
  return { text: clean.slice(0, MAX_README), mediaType: typeOf(kind), truncated: clean.length > MAX_README };
}

function typeOf({ name, type }: { readonly name?: string; readonly type?: string }): string {
  const said = type?.split(';', 1)[0]?.trim().toLowerCase();
  if (said === 'text/markdown' || said === 'text/x-rst' || said === 'text/plain') return said;
  if (name === undefined) return 'text/plain';
  if (/\.(md|markdown)$/i.test(name) || /^readme$/i.test(name)) return 'text/markdown';
  return /\.rst$/i.test(name) ? 'text/x-rst' : 'text/plain';
}

/** All of a small file; undefined where it is larger. */
export async function bytesWithin(asset: Pick<Asset, 'size' | 'content'>, limit: number): Promise<Buffer | undefined> {
  if (asset.size > limit) return undefined;
  return asset.content.inline ?? readAll((await asset.content.open()) as Readable, { limit, what: 'file' });
}
