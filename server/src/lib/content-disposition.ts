/** The header that has a browser save a body under a name (RFC 6266). */

/** A name of ASCII characters is given in both forms; of another only the extended form says it as it is. */
export function attachmentHeader(name: string): string {
  const extended = `filename*=UTF-8''${encodeExtended(name)}`;
  if (/[^\x20-\x7e]/.test(name)) return `attachment; ${extended}`;
  return `attachment; filename="${name.replace(/["\\%]/g, '_')}"; ${extended}`;
}

/** RFC 8187: what encodeURIComponent leaves alone but the header's grammar does not. */
function encodeExtended(name: string): string {
  return encodeURIComponent(name).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
