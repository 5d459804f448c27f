/** Parses JSON that strangers sent: bounded in depth, and with no key given twice where that would deceive. */

export interface JsonRules {
  readonly maxDepth: number;
  /** Keys that may stand only once in an object: parsers differ in which of two they take. */
  readonly singleKeys?: readonly string[];
}

/** The value, or what is wrong with the text, as the end of a sentence. */
export function parseJson(bytes: Buffer, rules: JsonRules): { readonly value: unknown } | { readonly problem: string } {
  if (bytes.length === 0) return { problem: 'it is empty' };
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { problem: 'it is not UTF-8 text' };
  }
  const problem = scan(text, rules);
  if (problem) return { problem };
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return { problem: 'it is not JSON' };
  }
}

/** Walks the tokens once, without recursion, before the parser sees the text. */
function scan(text: string, { maxDepth, singleKeys = [] }: JsonRules): string | undefined {
  const single = new Set(singleKeys);
  const seen: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x7b || code === 0x5b) {
      if (seen.length >= maxDepth) return `it is nested deeper than ${maxDepth} levels`;
      seen.push(undefined);
    } else if (code === 0x7d || code === 0x5d) {
      seen.pop();
    } else if (code === 0x22) {
      const end = endOfString(text, at);
      if (end < 0) return 'it is not JSON';
      if (single.size > 0 && text.charCodeAt(skipSpace(text, end + 1)) === 0x3a) {
        const key = plainKey(text.slice(at, end + 1));
        if (single.has(key)) {
          const keys = seen[seen.length - 1] ?? new Set();
          seen[seen.length - 1] = keys;
          if (keys.has(key)) return `it has the key "${key}" twice in one object`;
          keys.add(key);
        }
      }
      at = end;
    }
  }
  return undefined;
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at += 1;
    else if (code === 0x22) return at;
  }
  return -1;
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (at < text.length && text.charCodeAt(at) <= 0x20) at += 1;
  return at;
}

/** A key may hide behind escapes: `"lay\u0065rs"` is `layers`. */
function plainKey(quoted: string): string {
  if (!quoted.includes('\\')) return quoted.slice(1, -1);
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted;
  }
}
