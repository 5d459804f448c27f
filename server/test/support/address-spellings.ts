/** The many ways to write an address that must not be asked. */

export interface Spelling {
  /** What is between `//` and the path of a URL. */
  readonly authority: string;
  /** The address it stands for. */
  readonly address: string;
}

const FULL_WIDTH_ZERO = 0xff10;
const MATHEMATICAL_ZERO = 0x1d7d8;

/** Every spelling of an IPv4 address, those inside IPv6 addresses included. */
export function spellingsOf(address: string): Spelling[] {
  const parts = address.split('.').map(Number);
  const [a = 0, b = 0, c = 0, d = 0] = parts;
  const value = ((a * 256 + b) * 256 + c) * 256 + d;
  const octal = (part: number) => `0${part.toString(8)}`;
  const hex = (part: number) => `0x${part.toString(16)}`;
  const digits = (zero: number) => address.replaceAll(/\d/g, (digit) => String.fromCodePoint(zero + Number(digit)));
  const plain = [
    address,
    `${address}.`,
    String(value),
    hex(value),
    `0X${value.toString(16).toUpperCase()}`,
    `0${value.toString(8)}`,
    `00000${value.toString(8)}`,
    parts.map(octal).join('.'),
    parts.map(hex).join('.'),
    parts.map((part) => `0x000000${part.toString(16)}`).join('.'),
    [hex(a), octal(b), c, hex(d)].join('.'),
    [a, (b * 256 + c) * 256 + d].join('.'),
    [a, b, c * 256 + d].join('.'),
    [hex(a), hex((b * 256 + c) * 256 + d)].join('.'),
    digits(FULL_WIDTH_ZERO),
    digits(MATHEMATICAL_ZERO),
    address.replaceAll('.', '\u3002'),
    address.replaceAll('.', '\uff0e'),
    [...address].map((char) => `%${char.charCodeAt(0).toString(16)}`).join(''),
    `\u00ad${address}`,
    `public.example.com@${address}`,
    `public.example.com:80@${address}:80`,
    `public.example.com%2f@${address}`,
    `public.example.com%00@${address}:8080`,
  ].map((authority) => ({ authority, address }));
  const [high, low] = [a * 256 + b, c * 256 + d].map((half) => half.toString(16));
  const inverted = [(a * 256 + b) ^ 0xffff, (c * 256 + d) ^ 0xffff].map((half) => half.toString(16)).join(':');
  const wrapped = [
    `::ffff:${address}`,
    `::ffff:${high}:${low}`,
    `0:0:0:0:0:FFFF:${address}`,
    `0000:0000:0000:0000:0000:ffff:${high}:${low}`,
    `::${address}`,
    `::ffff:0:${address}`,
    `64:ff9b::${address}`,
    `64:ff9b::${high}:${low}`,
    `64:ff9b:1::${high}:${low}`,
    `2002:${high}:${low}::1`,
    `2001:0:${high}:${low}::1`,
    `2001::1:${inverted}`,
    `2606:4700::5efe:${high}:${low}`,
    `2606:4700::200:5efe:${high}:${low}`,
  ].map((wrapping) => ({ authority: `[${wrapping}]`, address: wrapping }));
  return [...plain, ...wrapped];
}

/** Addresses of IPv6 that are nobody's but this machine's, its link's, a cloud's, or of no host at all. */
export const INTERNAL_6: readonly Spelling[] = [
  '::',
  '::1',
  '0:0:0:0:0:0:0:1',
  '0000:0000:0000:0000:0000:0000:0000:0001',
  'fe80::1',
  'febf::1',
  'ff02::1',
  'fd00:ec2::254',
  'fd00:0ec2:0:0:0:0:0:0254',
  'fd20:ce::254',
  '100::1',
  '4000::1',
].map((address) => ({ authority: `[${address}]`, address }));

/** Names that look harmless or odd, with what they resolve to in the tests. */
export const INTERNAL_NAMES: readonly Spelling[] = [
  ['localhost', '127.0.0.1'],
  ['LOCALHOST', '127.0.0.1'],
  ['localhost.', '127.0.0.1'],
  ['localhost6', '::1'],
  ['any.localhost', '127.0.0.1'],
  ['\u24dbocalhost', '127.0.0.1'],
  ['b\u00fccher.example', '127.0.0.1'],
  ['metadata.google.internal', '169.254.169.254'],
  ['127.0.0.1.rebind.example', '127.0.0.1'],
  ['mapped.example', '::ffff:127.0.0.1'],
  ['multicast.example', '224.0.0.1'],
  ['broadcast.example', '255.255.255.255'],
  ['wire-server.example', '168.63.129.16'],
].map(([authority = '', address = '']) => ({ authority, address }));
