/** Writes XML: elements with text or with elements in them. */

/** Text, numbers and switches stand as they are; a list stands for as many elements of the same name. */
export type XmlValue = string | number | boolean | undefined | readonly XmlValue[] | XmlElements;
export interface XmlElements {
  readonly [name: string]: XmlValue;
}

const NAME = /^[A-Za-z_][\w.-]*$/;

/** A document with one element at its top; names that cannot be elements are left out. */
export function renderXml(name: string, content: XmlElements, namespace?: string): string {
  const attribute = namespace === undefined ? '' : ` xmlns="${escaped(namespace)}"`;
  return `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<${name}${attribute}>\n${renderAll(content, 1)}</${name}>\n`;
}

function renderAll(content: XmlElements, depth: number): string {
  return Object.entries(content)
    .map(([name, value]) => (NAME.test(name) ? render(name, value, depth) : ''))
    .join('');
}

function render(name: string, value: XmlValue, depth: number): string {
  if (value === undefined) return '';
  const indent = '  '.repeat(depth);
  if (isList(value)) return value.map((item) => render(name, item, depth)).join('');
  if (typeof value !== 'object') {
    const text = escaped(String(value));
    return text === '' ? `${indent}<${name}/>\n` : `${indent}<${name}>${text}</${name}>\n`;
  }
  const inner = renderAll(value, depth + 1);
  return inner === '' ? `${indent}<${name}/>\n` : `${indent}<${name}>\n${inner}${indent}</${name}>\n`;
}

function isList(value: XmlValue): value is readonly XmlValue[] {
  return Array.isArray(value);
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
    .replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char);
}
