/** Writes a text so that a language reads the same text back: for what people copy into files and terminals. */

/** One word for a POSIX shell. */
export function shellWord(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A string between double quotes, as JSON, YAML, TOML and Scala read it. */
export function quoted(text: string): string {
  // TOML and YAML want more written by number than JSON does.
  return JSON.stringify(text.toWellFormed()).replace(/[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g, byNumber);
}

/** A string of Groovy in which nothing is expanded. */
export function groovyQuoted(text: string): string {
  return `'${quoted(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
}

/** A string of Kotlin in which nothing is expanded. */
export function kotlinQuoted(text: string): string {
  return quoted(text).replaceAll('\\f', '\\u000c').replaceAll('$', '\\$');
}

/** The value of a line of an INI file as Python reads it, which knows no way to write control characters. */
export function iniValue(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim();
}

/** The value of a line of a Java properties file. */
export function propertiesValue(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replace(/[^\u0020-\u007e]/g, byNumber)
    .replace(/^ /, '\\ ');
}

/** The user information of an address: a name, and a secret that is written as it is. */
export function userInfo(name: string, secret: string): string {
  return `${encodeURIComponent(name.toWellFormed())}:${secret}`;
}

function byNumber(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
