/** Client certificates that remote repositories show to their upstreams, each with its private key. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { Secrets } from '../auth/secrets.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { SystemConfiguration } from './system-configuration.ts';

export interface ClientCertificate {
  readonly alias: string;
  readonly certificate: X509Certificate;
}

interface StoredCertificate {
  /** The certificate and those that vouch for it, as PEM. */
  readonly chain: string;
  readonly key: { readonly sealed: string };
}

/** Beside the sections of the descriptor, in which private keys have no business. */
const SECTION = 'certificates';
const PURPOSE = 'certificate';
const ALIAS = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const MAX_CHAIN = 10;
const MAX_STORED = 200;
const MIN_RSA_BITS = 2048;

export class ClientCertificates {
  readonly #configuration: SystemConfiguration;
  readonly #secrets: Secrets;

  constructor(deps: { readonly configuration: SystemConfiguration; readonly secrets: Secrets }) {
    this.#configuration = deps.configuration;
    this.#secrets = deps.secrets;
  }

  list(): readonly ClientCertificate[] {
    return Object.entries(this.#stored()).map(([alias, { chain }]) => ({
      alias,
      certificate: new X509Certificate(chain),
    }));
  }

  /** The certificate with its key in the clear, for whoever opens a connection with it. */
  open(alias: string): { readonly chain: string; readonly key: string } | undefined {
    const stored = Object.hasOwn(this.#stored(), alias) ? this.#stored()[alias] : undefined;
    return (
      stored && { chain: stored.chain, key: this.#secrets.open(PURPOSE, stored.key.sealed, alias).toString('utf8') }
    );
  }

  /** Stores a certificate and its private key, both from one PEM text, in place of an older one of the alias. */
  async set(alias: string, pem: string, by: string): Promise<void> {
    if (!ALIAS.test(alias)) {
      throw new AppError(
        'invalid',
        `"${clip(alias)}" cannot be an alias: use up to 64 letters, digits, ".", "_" or "-", starting with a letter or digit.`,
      );
    }
    const { chain, key } = parsePem(pem);
    const stored: StoredCertificate = { chain, key: { sealed: this.#secrets.seal(PURPOSE, key, alias) } };
    await this.#change(by, (before) => ({ ...before, [alias]: stored }));
  }

  /** False when there was none. */
  async delete(alias: string, by: string): Promise<boolean> {
    if (!Object.hasOwn(this.#stored(), alias)) return false;
    await this.#change(by, ({ [alias]: _gone, ...rest }) => rest);
    return true;
  }

  #stored(): Readonly<Record<string, StoredCertificate>> {
    return storedIn(this.#configuration.document.sections);
  }

  async #change(
    by: string,
    change: (before: Readonly<Record<string, StoredCertificate>>) => Readonly<Record<string, StoredCertificate>>,
  ): Promise<void> {
    await this.#configuration.change(by, (sections) => {
      const after = change(storedIn(sections));
      if (Object.keys(after).length > MAX_STORED) {
        throw new AppError('invalid', `There can be at most ${MAX_STORED} certificates. Delete one first.`);
      }
      return { ...sections, [SECTION]: after };
    });
  }
}

function storedIn(sections: Readonly<Record<string, unknown>>): Readonly<Record<string, StoredCertificate>> {
  return (sections[SECTION] ?? {}) as Readonly<Record<string, StoredCertificate>>;
}

/** Takes a certificate, those that vouch for it, and its key; refuses, as `invalid`, what would not work. */
function parsePem(pem: string): { readonly chain: string; readonly key: string } {
  const blocks = [...pem.matchAll(/-----BEGIN ([A-Z ]{1,40})-----[A-Za-z0-9+/=\s]{1,50000}-----END \1-----/g)];
  const certificates = blocks.filter(([, kind]) => kind === 'CERTIFICATE').map(([block]) => block);
  const keys = blocks.filter(([, kind]) => kind?.endsWith('PRIVATE KEY')).map(([block]) => block);
  const [first] = certificates;
  const [key] = keys;
  if (!first || !key || keys.length > 1) {
    throw new AppError(
      'invalid',
      'The body must hold a certificate and its one private key, without a passphrase, as PEM.',
    );
  }
  if (certificates.length > MAX_CHAIN) {
    throw new AppError('invalid', `The body holds more than ${MAX_CHAIN} certificates.`);
  }
  const [certificate] = certificates.map((block) => readCertificate(block));
  const privateKey = readKey(key);
  if (!certificate?.checkPrivateKey(privateKey)) {
    throw new AppError('invalid', 'The private key does not belong to the certificate, which must be the first.');
  }
  if (new Date(certificate.validTo).getTime() < Date.now()) {
    throw new AppError('invalid', `The certificate is not valid any more: it ended on ${certificate.validTo}.`);
  }
  if ((privateKey.asymmetricKeyDetails?.modulusLength ?? MIN_RSA_BITS) < MIN_RSA_BITS) {
    throw new AppError('invalid', `An RSA key must have at least ${MIN_RSA_BITS} bits.`);
  }
  return {
    chain: `${certificates.join('\n')}\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function readCertificate(block: string): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch {
    throw new AppError('invalid', 'A certificate in the body cannot be read.');
  }
}

function readKey(block: string): KeyObject {
  try {
    return createPrivateKey(block);
  } catch {
    throw new AppError('invalid', 'The private key cannot be read. It must be PEM without a passphrase.');
  }
}
