/** The cookies of one upstream (RFC 6265), in memory and for its own origin only, whatever domain they claim. */

interface Cookie {
  readonly value: string;
  readonly path: string;
  readonly expiresAt: number;
}

const MAX_COOKIES = 50;
const MAX_LENGTH = 4096;

export class CookieJar {
  readonly #cookies = new Map<string, Cookie>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Takes what an answer sets; what is malformed or too long is passed over. */
  store(fields: readonly string[], url: URL): void {
    for (const field of fields) this.#store(field, url);
  }

  /** The field Cookie for a request; undefined where there are none. */
  fieldFor(url: URL): string | undefined {
    const now = this.#now();
    const fitting = [...this.#cookies].filter(
      ([, { path, expiresAt }]) => expiresAt > now && isBelow(url.pathname, path),
    );
    return fitting.length === 0 ? undefined : fitting.map(([name, { value }]) => `${name}=${value}`).join('; ');
  }

  #store(field: string, url: URL): void {
    const [pair = '', ...attributes] = field.split(';').map((part) => part.trim());
    const [, name, value] = /^([^=\s]+)=([\x21-\x7e]*)$/.exec(pair) ?? [];
    if (name === undefined || value === undefined || field.length > MAX_LENGTH) return;
    const attribute = (wanted: string) =>
      attributes.find((each) => each.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1);
    const expiresAt = this.#expiry(attribute('max-age'), attribute('expires'));
    this.#cookies.delete(name);
    if (expiresAt <= this.#now()) return;
    const path = attribute('path');
    const folder = url.pathname.slice(0, url.pathname.lastIndexOf('/')) || '/';
    this.#cookies.set(name, { value, path: path?.startsWith('/') ? path : folder, expiresAt });
    const [oldest] = this.#cookies.keys();
    if (this.#cookies.size > MAX_COOKIES && oldest !== undefined) this.#cookies.delete(oldest);
  }

  #expiry(maxAge: string | undefined, expires: string | undefined): number {
    if (maxAge !== undefined && /^-?\d+$/.test(maxAge)) return this.#now() + Number(maxAge) * 1000;
    const at = expires === undefined ? Number.NaN : Date.parse(expires);
    return Number.isNaN(at) ? Number.POSITIVE_INFINITY : at;
  }
}

function isBelow(pathname: string, folder: string): boolean {
  return pathname === folder || pathname.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
}
