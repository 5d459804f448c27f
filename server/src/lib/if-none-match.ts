/** Conditional requests (RFC 9110, section 13.1.2). */

const MAX_HEADER = 8192;

/** Whether the header names the tag, which is given bare: clients send it quoted, bare, weak, in lists, or as `*`. */
export function namesTag(header: string | undefined, tag: string): boolean {
  if (header === undefined || header.length > MAX_HEADER) return false;
  return header.split(',').some((item) => {
    const named = item.trim().replace(/^W\//, '').replaceAll('"', '');
    return named === '*' || named === tag;
  });
}
