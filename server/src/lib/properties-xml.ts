/** Properties as XML, an element for each value, as Artifactory's API offers them beside JSON. */
import { escapeXml } from './xml-text.ts';

const NAME = /^[\p{L}_][\p{L}\p{N}._-]*$/u;

/** The document. A key that can be no element's name has what does not fit written as `_x<code>_`. */
export function propertiesXml(properties: Readonly<Record<string, readonly string[]>>): string {
  const elements = Object.entries(properties).flatMap(([key, values]) => {
    const name = NAME.test(key) ? key : elementName(key);
    return values.map((value) => `<${name}>${escapeXml(value)}</${name}>`);
  });
  return `<properties>${elements.join('')}</properties>`;
}

function elementName(key: string): string {
  const name = key.replace(/[^\p{L}\p{N}._-]/gu, (char) => `_x${(char.codePointAt(0) ?? 0).toString(16)}_`);
  return /^[\p{L}_]/u.test(name) ? name : `_${name}`;
}
