/** Self-signed certificates, written by hand: the smallest that X.509 allows (RFC 5280, section 4.1). */
import { createSign, generateKeyPairSync } from 'node:crypto';

const element = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 128) return Buffer.concat([Buffer.from([tag, length]), content]);
  const bytes = length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...bytes]), content]);
};
const sequence = (...parts: readonly Uint8Array[]) => element(0x30, ...parts);
const utcTime = (date: Date) =>
  element(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`, 'ascii'));

/** 1.2.840.10045.4.3.2, ECDSA with SHA-256. */
const ALGORITHM = sequence(element(0x06, Buffer.from([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])));
/** 2.5.4.3, the common name. */
const COMMON_NAME = element(0x06, Buffer.from([0x55, 0x04, 0x03]));

export interface TestCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate of the name, valid from yesterday to so many days from now. */
export function makeCertificate(commonName: string, days = 30): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = sequence(element(0x31, sequence(COMMON_NAME, element(0x0c, Buffer.from(commonName)))));
  const day = 24 * 3600 * 1000;
  const validity = sequence(utcTime(new Date(Date.now() - 60 * day)), utcTime(new Date(Date.now() + days * day)));
  const subject = publicKey.export({ type: 'spki', format: 'der' });
  const body = sequence(element(0x02, Buffer.from([1])), ALGORITHM, name, validity, name, subject);
  const signature = createSign('sha256').update(body).sign(privateKey);
  const whole = sequence(body, ALGORITHM, element(0x03, Buffer.from([0]), signature));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
