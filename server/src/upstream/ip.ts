/** Which part of the address space an IP address belongs to, whatever it is wrapped in. */
import { isIPv4, isIPv6 } from 'node:net';

/**
 * `private` is what only the host of a repository's own URL may be; `internal` is this machine, its link and what no
 * host has; `metadata` hands out the credentials of a cloud machine to whoever asks from it.
 */
export type AddressKind = 'public' | 'private' | 'internal' | 'metadata';

export interface AddressClass {
  readonly kind: AddressKind;
  /** For a sentence: *a loopback address*. */
  readonly name: string;
}

type Range = readonly [address: string, prefix: number, kind: AddressKind, name: string];

const METADATA = 'a cloud metadata address';

/** The first range that holds an address decides; what none holds is public in IPv4, reserved in IPv6. */
const RANGES_4: readonly Range[] = [
  ['169.254.169.254', 32, 'metadata', METADATA],
  ['169.254.170.2', 32, 'metadata', METADATA],
  ['169.254.170.23', 32, 'metadata', METADATA],
  ['169.254.0.23', 32, 'metadata', METADATA],
  ['169.254.42.42', 32, 'metadata', METADATA],
  ['100.100.100.200', 32, 'metadata', METADATA],
  ['168.63.129.16', 32, 'metadata', METADATA],
  ['192.0.0.192', 32, 'metadata', METADATA],
  ['0.0.0.0', 8, 'internal', 'an unspecified address'],
  ['127.0.0.0', 8, 'internal', 'a loopback address'],
  ['169.254.0.0', 16, 'internal', 'a link-local address'],
  ['192.0.0.0', 24, 'internal', 'a reserved address'],
  ['192.88.99.0', 24, 'internal', 'a reserved address'],
  ['224.0.0.0', 4, 'internal', 'a multicast address'],
  ['255.255.255.255', 32, 'internal', 'a broadcast address'],
  ['240.0.0.0', 4, 'internal', 'a reserved address'],
  ['10.0.0.0', 8, 'private', 'a private address'],
  ['172.16.0.0', 12, 'private', 'a private address'],
  ['192.168.0.0', 16, 'private', 'a private address'],
  ['100.64.0.0', 10, 'private', 'a private address of a carrier'],
  ['198.18.0.0', 15, 'private', 'an address for benchmarks'],
  ['192.0.2.0', 24, 'private', 'an address for documentation'],
  ['198.51.100.0', 24, 'private', 'an address for documentation'],
  ['203.0.113.0', 24, 'private', 'an address for documentation'],
];

const RANGES_6: readonly Range[] = [
  ['fd00:ec2::254', 128, 'metadata', METADATA],
  ['fd00:ec2::23', 128, 'metadata', METADATA],
  ['fd20:ce::254', 128, 'metadata', METADATA],
  ['fd00:42::42', 128, 'metadata', METADATA],
  ['::', 128, 'internal', 'an unspecified address'],
  ['::1', 128, 'internal', 'a loopback address'],
  ['fe80::', 10, 'internal', 'a link-local address'],
  ['ff00::', 8, 'internal', 'a multicast address'],
  ['100::', 64, 'internal', 'a reserved address'],
  ['2001:2::', 48, 'private', 'an address for benchmarks'],
  ['2001:db8::', 32, 'private', 'an address for documentation'],
  ['3fff::', 20, 'private', 'an address for documentation'],
  ['2001::', 23, 'internal', 'a reserved address'],
  ['fc00::', 7, 'private', 'a private address'],
  ['fec0::', 10, 'private', 'a private address'],
  ['5f00::', 16, 'private', 'a private address'],
  ['64:ff9b:1::', 48, 'private', 'a private address'],
  ['64:ff9b::', 96, 'public', ''],
  ['::ffff:0:0', 96, 'public', ''],
  ['::ffff:0:0:0', 96, 'public', ''],
  ['2000::', 3, 'public', ''],
];

/** Where an IPv6 address of a range carries an IPv4 address, counted in bits from its end. */
const CARRIERS: readonly (readonly [address: string, prefix: number, shift: bigint, inverted?: true])[] = [
  ['::', 96, 0n],
  ['::ffff:0:0', 96, 0n],
  ['::ffff:0:0:0', 96, 0n],
  ['64:ff9b::', 96, 0n],
  ['64:ff9b:1::', 48, 0n],
  ['2002::', 16, 80n],
  ['2001::', 32, 64n],
  ['2001::', 32, 0n, true],
];

const STRICTNESS: readonly AddressKind[] = ['public', 'private', 'internal', 'metadata'];
const RESERVED: AddressClass = { kind: 'internal', name: 'a reserved address' };
const PUBLIC: AddressClass = { kind: 'public', name: 'a public address' };

/** What an address is, the IPv4 addresses that it may carry included; what is no address at all counts as reserved. */
export function classifyAddress(address: string): AddressClass {
  if (isIPv4(address)) return classify4(valueOf4(address));
  const value = valueOf6(address);
  if (value === undefined) return RESERVED;
  const found = RANGES_6.find(([start, prefix]) => within(value, valueOf6(start) ?? 0n, prefix, 128));
  const own: AddressClass = found ? { kind: found[2], name: found[3] } : RESERVED;
  return carriedBy(value).map(classify4).reduce(stricter, own);
}

/** The address in one spelling: equal texts are equal addresses. Undefined where it is none. */
export function canonicalAddress(address: string): string | undefined {
  if (isIPv4(address)) return `4:${valueOf4(address)}`;
  const value = valueOf6(address);
  if (value === undefined) return undefined;
  return within(value, valueOf6('::ffff:0:0') ?? 0n, 96, 128) ? `4:${value & 0xffff_ffffn}` : `6:${value}`;
}

function classify4(value: bigint): AddressClass {
  const found = RANGES_4.find(([start, prefix]) => within(value, valueOf4(start), prefix, 32));
  return found ? { kind: found[2], name: found[3] } : PUBLIC;
}

function carriedBy(value: bigint): bigint[] {
  const carried = CARRIERS.filter(([start, prefix]) => within(value, valueOf6(start) ?? 0n, prefix, 128)).map(
    ([, , shift, inverted]) => ((value >> shift) & 0xffff_ffffn) ^ (inverted ? 0xffff_ffffn : 0n),
  );
  // ISATAP (RFC 5214): the second half is 0000:5efe or 0200:5efe and the IPv4 address.
  const isatap = ((value >> 32n) & 0xfdff_ffffn) === 0x0000_5efen;
  return isatap ? [...carried, value & 0xffff_ffffn] : carried;
}

function stricter(one: AddressClass, other: AddressClass): AddressClass {
  return STRICTNESS.indexOf(other.kind) > STRICTNESS.indexOf(one.kind) ? other : one;
}

function within(value: bigint, start: bigint, prefix: number, bits: number): boolean {
  const shift = BigInt(bits - prefix);
  return value >> shift === start >> shift;
}

function valueOf4(address: string): bigint {
  return address.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

/** Undefined for what is no address, and for one with a zone: those mean something on one link only. */
function valueOf6(address: string): bigint | undefined {
  if (!isIPv6(address) || address.includes('%')) return undefined;
  const text = address.replace(/[\d.]+$/, (tail) => (tail.includes('.') ? hexOf(valueOf4(tail)) : tail));
  const [head = '', tail] = text.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const [before, after] = [groups(head), groups(tail ?? '')];
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

function hexOf(value: bigint): string {
  return `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
}
