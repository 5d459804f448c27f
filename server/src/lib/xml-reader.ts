/** Reads small XML documents of strangers into trees, within limits. Document types, and so entities, are refused. */
import { setImmediate as turn } from 'node:timers/promises';
import { SaxesParser } from 'saxes';

export interface XmlNode {
  /** Without its prefix. */
  readonly name: string;
  /** The text directly in it, without the space around it. */
  readonly text: string;
  readonly children: readonly XmlNode[];
  /** Where it begins and ends in the decoded text. */
  readonly start: number;
  readonly end: number;
}

export interface XmlLimits {
  readonly maxBytes: number;
  readonly maxDepth: number;
  /** Elements and attributes, all together. */
  readonly maxNodes: number;
}

/** Something is wrong with the document; the message ends a sentence that says with which. */
export class XmlProblem extends Error {}

/** So much is read at once before others get their turn. */
const PIECE = 16 * 1024;
const MAX_ATTRIBUTES = 500;
/** Every byte means a character in these. */
const ENCODINGS = new Set([
  'utf-8',
  'utf8',
  'us-ascii',
  'ascii',
  'iso-8859-1',
  'iso-8859-15',
  'latin1',
  'windows-1252',
]);
const DECLARED = /^<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([A-Za-z][\w.-]{0,40})["']/;

/** The element at the top; throws an `XmlProblem` for what is no XML or goes beyond the limits. */
export async function readXml(bytes: Buffer, limits: XmlLimits): Promise<XmlNode> {
  const text = decodeXml(bytes, limits);
  const reader = new TreeReader(text, limits);
  for (let at = 0; at < text.length; at += PIECE) {
    if (at > 0) await turn();
    reader.write(text.slice(at, at + PIECE));
  }
  return reader.end();
}

/** The same at once, for documents that are small or read where nobody waits. */
export function readXmlNow(bytes: Buffer, limits: XmlLimits): XmlNode {
  const text = decodeXml(bytes, limits);
  const reader = new TreeReader(text, limits);
  reader.write(text);
  return reader.end();
}

/** The text of the document in the encoding that it declares and has. */
export function decodeXml(bytes: Buffer, { maxBytes }: Pick<XmlLimits, 'maxBytes'>): string {
  if (bytes.length > maxBytes) throw new XmlProblem(`it is larger than ${maxBytes} bytes`);
  const [first, second] = bytes;
  const wide =
    first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff ? 'utf-16be' : undefined;
  const declared = DECLARED.exec(
    bytes
      .subarray(0, 300)
      .toString('latin1')
      .replace(/^\u00ef\u00bb\u00bf/, ''),
  )?.[1];
  const encoding = wide ?? declared?.toLowerCase() ?? 'utf-8';
  if (!wide && !ENCODINGS.has(encoding)) throw new XmlProblem(`its encoding "${encoding}" is not one that is read`);
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new XmlProblem(`its bytes are not in the encoding "${encoding}"`);
  }
}

/** The first element of the name in an element. */
export function childOf(node: XmlNode | undefined, name: string): XmlNode | undefined {
  return node?.children.find((child) => child.name === name);
}

/** The text of the first element of the name; undefined where there is none, or nothing in it. */
export function textOf(node: XmlNode | undefined, name: string): string | undefined {
  const text = childOf(node, name)?.text;
  return text === '' ? undefined : text;
}

interface OpenNode {
  readonly name: string;
  text: string;
  readonly children: XmlNode[];
  readonly start: number;
  end: number;
}

class TreeReader {
  readonly #parser = new SaxesParser({ position: true });
  readonly #open: OpenNode[] = [];
  #root: XmlNode | undefined;
  #nodes = 0;

  constructor(whole: string, { maxDepth, maxNodes }: XmlLimits) {
    const parser = this.#parser;
    let attributes = 0;
    const count = () => {
      this.#nodes += 1;
      if (this.#nodes > maxNodes) throw new XmlProblem(`it has more than ${maxNodes} elements and attributes`);
    };
    let start = 0;
    parser.on('error', (error) => {
      throw new XmlProblem(`it is not well-formed XML (${error.message.replace(/\.$/, '')})`);
    });
    parser.on('doctype', () => {
      throw new XmlProblem('it has a document type, which is not read');
    });
    parser.on('attribute', () => {
      count();
      attributes += 1;
      if (attributes > MAX_ATTRIBUTES) throw new XmlProblem(`an element has more than ${MAX_ATTRIBUTES} attributes`);
    });
    parser.on('opentagstart', () => {
      count();
      attributes = 0;
      start = whole.lastIndexOf('<', parser.position - 1);
      if (this.#open.length >= maxDepth) throw new XmlProblem(`its elements are nested more than ${maxDepth} deep`);
    });
    parser.on('opentag', (tag) => {
      this.#open.push({ name: tag.name.replace(/^.*:/, ''), text: '', children: [], start, end: start });
    });
    parser.on('text', (text) => this.#addText(text));
    parser.on('cdata', (text) => this.#addText(text));
    parser.on('closetag', () => {
      const node = this.#open.pop();
      if (!node) return;
      node.text = node.text.trim();
      node.end = parser.position;
      const parent = this.#open.at(-1);
      if (parent) parent.children.push(node);
      else this.#root = node;
    });
  }

  write(text: string): void {
    this.#parser.write(text);
  }

  end(): XmlNode {
    this.#parser.close();
    if (!this.#root) throw new XmlProblem('it is empty');
    return this.#root;
  }

  #addText(text: string): void {
    const node = this.#open.at(-1);
    if (node) node.text += text;
  }
}
