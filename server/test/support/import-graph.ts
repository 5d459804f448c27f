/** Which file of the server imports what, read from the import statements alone. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const SOURCE_ROOT = fileURLToPath(new URL('../../src', import.meta.url));

export interface SourceFile {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly isTest: boolean;
}

export interface ImportEdge {
  readonly from: string;
  /** Path of our own file, relative to the root; undefined for packages and Node's modules. */
  readonly to: string | undefined;
  readonly specifier: string;
  /** Whether nothing of it is left when the program runs. */
  readonly typeOnly: boolean;
}

export interface ImportStatement {
  readonly specifier: string;
  readonly typeOnly: boolean;
}

// The formatter puts each statement at the start of a line; its names hold nothing but words, commas and braces.
const STATEMENT = /^(?:import|export)\s+(type\s+)?(?:[\w$*\s{},]+?\s+from\s+)?(['"])([^'"\n]+)\2/gm;
const CALL = /\b(?:import|require)\(\s*(['"])([^'"\n]+)\1/g;

/** All imports and re-exports of a file, dynamic ones and those of types included. */
export function parseImports(text: string): ImportStatement[] {
  const statements = [...text.matchAll(STATEMENT)].map((match) => ({
    specifier: match[3] ?? '',
    typeOnly: match[1] !== undefined,
  }));
  const found = statements.length;
  const begun = [...text.matchAll(/^import\b(?![.(])/gm)].length;
  const imports = [...text.matchAll(STATEMENT)].filter((match) => match[0].startsWith('import')).length;
  if (imports !== begun)
    throw new Error(`${begun} import statements begin, but ${imports} of ${found} were understood`);
  const calls = [...text.matchAll(CALL)].map((match) => ({ specifier: match[2] ?? '', typeOnly: false }));
  return [...statements, ...calls];
}

export function listSourceFiles(root = SOURCE_ROOT): SourceFile[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => {
      const path = relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/');
      return { path, text: readFileSync(join(root, path), 'utf8'), isTest: path.endsWith('.test.ts') };
    })
    .sort((one, other) => (one.path < other.path ? -1 : 1));
}

/** The imports of a file, with those of our own files resolved. Fails on a path where there is no file. */
export function importEdges(file: SourceFile, root = SOURCE_ROOT): ImportEdge[] {
  return parseImports(file.text).map(({ specifier, typeOnly }) => {
    if (!specifier.startsWith('.')) return { from: file.path, to: undefined, specifier, typeOnly };
    const target = join(root, dirname(file.path), specifier);
    if (!existsSync(target)) throw new Error(`${file.path} imports ${specifier}, which is not there`);
    return { from: file.path, to: relative(root, target).replaceAll('\\', '/'), specifier, typeOnly };
  });
}
