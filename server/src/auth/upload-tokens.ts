/**
 * What lets a client go on with an upload in parts without its own credentials: a token for the upload, signed
 * addresses of its parts, and a token for what comes of it. Each says nothing but the id of the upload.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Secrets } from './secrets.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Clients take it for the head of a signed token, which they hand on unread. */
const HEAD = Buffer.from(JSON.stringify({ alg: 'HS256', typ: 'JWT' })).toString('base64url');

export class UploadTokens {
  readonly #secrets: Secrets;
  constructor(secrets: Secrets) {
    this.#secrets = secrets;
  }

  /** For the calls that go on with the upload. */
  issue(id: string): string {
    return this.#render('multipart upload', id);
  }

  /** The upload that a token is for; undefined if it is none of ours. */
  read(token: string): string | undefined {
    return this.#parse('multipart upload', token);
  }

  /** For deploying what the upload ended with. */
  issueResult(id: string): string {
    return this.#render('multipart result', id);
  }

  readResult(token: string): string | undefined {
    return this.#parse('multipart result', token);
  }

  /** Proof that the server itself gave out the address of this part. */
  signPart(id: string, number: number, expiresAt: number): string {
    return this.#secrets.hmac('multipart part', `${id} ${number} ${expiresAt}`).toString('base64url');
  }

  isPart(
    part: { readonly id: string; readonly number: number; readonly expiresAt: number },
    signature: string,
  ): boolean {
    return isSame(this.signPart(part.id, part.number, part.expiresAt), signature) && part.expiresAt > Date.now();
  }

  #render(purpose: string, id: string): string {
    const body = `${HEAD}.${Buffer.from(JSON.stringify({ jti: id })).toString('base64url')}`;
    return `${body}.${this.#secrets.hmac(purpose, body).toString('base64url')}`;
  }

  #parse(purpose: string, token: string): string | undefined {
    const [head, body, signature = '', ...rest] = token.split('.');
    if (head !== HEAD || body === undefined || rest.length > 0 || token.length > 500) return undefined;
    if (!isSame(this.#secrets.hmac(purpose, `${head}.${body}`).toString('base64url'), signature)) return undefined;
    const { jti } = JSON.parse(Buffer.from(body, 'base64url').toString()) as { readonly jti: string };
    return UUID.test(jti) ? jti : undefined;
  }
}

function isSame(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}
