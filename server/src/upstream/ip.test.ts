import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AddressKind, canonicalAddress, classifyAddress } from './ip.ts';

const KINDS: Record<AddressKind, readonly string[]> = {
  public: [
    '8.8.8.8',
    '1.1.1.1',
    '172.15.0.1',
    '172.32.0.1',
    '100.63.0.1',
    '100.128.0.1',
    '169.253.0.1',
    '2606:4700::1111',
    '::ffff:8.8.8.8',
    '64:ff9b::8.8.8.8',
    '2002:808:808::1',
  ],
  private: [
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '100.64.0.1',
    '100.127.255.255',
    '198.18.0.1',
    '198.19.255.255',
    '192.0.2.1',
    'fc00::1',
    'fdff::1',
    'fec0::1',
    '2001:db8::1',
    '::ffff:10.0.0.1',
    '64:ff9b::10.0.0.1',
    '2002:a00:1::1',
  ],
  internal: [
    '127.0.0.1',
    '127.255.255.255',
    '0.0.0.0',
    '0.1.2.3',
    '169.254.1.1',
    '192.0.0.1',
    '224.0.0.1',
    '239.1.1.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    'fe80::1',
    'febf::1',
    'ff02::1',
    '::8.8.8.8',
    '2001::1',
    '1::1',
    '4000::1',
    'fe80::1%eth0',
    '',
    'localhost',
    '127.1',
    '0x7f000001',
    '::ffff:127.0.0.1',
    '2002:7f00:1::1',
  ],
  metadata: [
    '169.254.169.254',
    '169.254.170.2',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fd00:ec2::254',
    '::ffff:169.254.169.254',
    '64:ff9b::169.254.169.254',
    '2002:a9fe:a9fe::1',
  ],
};

test('each address is of its kind', () => {
  for (const [kind, addresses] of Object.entries(KINDS)) {
    for (const address of addresses) assert.equal(classifyAddress(address).kind, kind, address);
  }
});

test('one address has one canonical form', () => {
  assert.equal(canonicalAddress('::ffff:127.0.0.1'), canonicalAddress('127.0.0.1'));
  assert.equal(canonicalAddress('FD00:0EC2::0254'), canonicalAddress('fd00:ec2:0:0:0:0:0:254'));
  assert.notEqual(canonicalAddress('::7f00:1'), canonicalAddress('127.0.0.1'));
  assert.equal(canonicalAddress('127.1'), undefined);
});
