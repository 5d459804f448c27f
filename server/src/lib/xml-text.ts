/** Text inside XML elements and attributes. */

/** The text with what means something to XML escaped. */
export function escapeXml(text: string): string {
  // What XML cannot hold at all is left out.
  return text
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
    .replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
