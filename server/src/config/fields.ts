/** Kinds of fields that several sections use. */
import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import { parseRepoKey } from '../core/ids.ts';
import { upstreamAddress } from '../core/public-upstream.ts';
import { Secret } from '../lib/secret.ts';

/** What a Node timer can wait at most. */
const MAX_TIMER_MS = 2_147_483_647;
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const SECOND_MS = 1000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;

export function milliseconds(min = 1) {
  return z.int().min(min).max(MAX_TIMER_MS);
}

export function bytes(min = 0, max = Number.MAX_SAFE_INTEGER) {
  return z.int().min(min).max(max);
}

export function count(min = 1, max = 1_000_000) {
  return z.int().min(min).max(max);
}

/** Accepts the text, or `<name>File` with the path of a file that holds it; see `load.ts`. */
export function secret() {
  return z
    .string()
    .min(1)
    .transform((text) => new Secret(text))
    .meta({ secret: true });
}

export function hostName() {
  return z.string().regex(HOST_NAME, 'must be a host name in lower case, such as "registry.example.com"');
}

export function repoKey() {
  return z.string().superRefine((text, context) => {
    try {
      parseRepoKey(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: `is no repository key: ${(error as Error).message}` });
    }
  });
}

/** An address or a range of addresses: `10.0.0.0/8`, `fd00::/8`, `192.0.2.7`. */
export function addressRange() {
  return z
    .string()
    .refine(isAddressRange, 'must be an address or a range of addresses, such as "10.0.0.0/8" or "fd00::/8"');
}

function isAddressRange(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  if (prefix === undefined) return true;
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128);
}

/** The ranges in the form that answers whether an address is one of theirs. */
export function addressRanges(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}

/** Scheme, host and port of a URL; whatever else a URL can have is refused. */
export function origin() {
  return z
    .string()
    .refine(isOrigin, 'must be an http or https URL of scheme, host and port only, such as "https://repo.example.com"')
    .transform((text) => new URL(text).origin);
}

function isOrigin(text: string): boolean {
  const url = URL.parse(text);
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) return false;
  return url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' && url.password === '';
}

/** Where an upstream is; what would be asked of it, or with which credentials, is said elsewhere. */
export function upstream() {
  return z
    .string()
    .refine(
      isUpstream,
      'must be an http or https URL without credentials, query and fragment, such as "https://mirror.example.com/path"',
    )
    .transform((text) => upstreamAddress(text) ?? text);
}

function isUpstream(text: string): boolean {
  const url = URL.parse(text);
  if (!url || upstreamAddress(text) === undefined) return false;
  return url.search === '' && url.hash === '' && url.username === '' && url.password === '';
}
