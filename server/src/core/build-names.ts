/** How names and numbers of builds are written in the paths of their files. */

const ESCAPED = /[/\\|*?"':;%]/g;

/** The folder of a build's files: a single segment whatever the name holds. */
export function encodeBuildName(name: string): string {
  const encoded = name.replace(/\s+/g, ' ').replace(ESCAPED, (char) => {
    const shown = char === "'" ? '"' : char;
    return `%${shown.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  });
  return encoded.replace(/ (?=%2F)|(?<=%2F) /g, '%20');
}
