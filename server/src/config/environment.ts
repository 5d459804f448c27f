/** What the environment says: `ENTREPOT_SECTION__KEY` is the field `key` of the section `section`. */
import { type Field, variableOf } from './field-list.ts';
import { suggest } from './suggest.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Settings as they were written, not yet checked. */
export type Tree = Record<string, unknown>;

export interface Problem {
  /** Path of the field, or name of the variable. */
  readonly path: string;
  readonly message: string;
}

/** Variables that are no setting: the file itself, what bin/entrepot tells Node, and what tests tell the code. */
const OTHERS = ['ENTREPOT_CONFIG', 'ENTREPOT_MEMORY', 'ENTREPOT_CRASHPOINT', 'ENTREPOT_FAULT_KILLS'];

/** Kubernetes sets these in every pod beside a service whose name starts with `entrepot`. */
const SERVICE_LINK = /_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$/;

/** The values the environment gives, in the form the file would give them; what is wrong is added to `problems`. */
export function readEnvironment(env: Environment, fields: readonly Field[], problems: Problem[]): Tree {
  const known = new Map<string, { readonly field: Field; readonly path: readonly string[] }>();
  for (const field of fields) {
    known.set(variableOf(field.path), { field, path: field.path });
    if (!field.secret) continue;
    const path = filePathOf(field.path);
    known.set(variableOf(path), { field, path });
  }
  const tree: Tree = {};
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('ENTREPOT_') || text === undefined || OTHERS.includes(name)) continue;
    const entry = known.get(name);
    if (!entry) {
      if (name.includes('__') || !SERVICE_LINK.test(name)) problems.push(unknownVariable(name, known.keys()));
      continue;
    }
    // An empty variable is what `${NAME:-}` leaves behind: it says nothing.
    if (text === '' && entry.field.kind !== 'list') continue;
    const value = entry.path === entry.field.path ? parseText(text, entry.field) : text;
    if (value instanceof Mistake) problems.push({ path: name, message: value.message });
    else place(tree, entry.path, value);
  }
  return tree;
}

/** Where the name of the file that holds a secret stands. */
export function filePathOf(path: readonly string[]): readonly string[] {
  return path.with(-1, `${path.at(-1)}File`);
}

function place(tree: Tree, path: readonly string[], value: unknown): void {
  let branch = tree;
  for (const key of path.slice(0, -1)) {
    branch[key] ??= {};
    branch = branch[key] as Tree;
  }
  branch[path.at(-1) ?? ''] = value;
}

class Mistake {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

function parseText(text: string, field: Field): unknown {
  switch (field.kind) {
    case 'text':
      return text;
    case 'number':
      return /^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : new Mistake(`must be a number, not "${text}"`);
    case 'boolean':
      return text === 'true' || (text === 'false' ? false : new Mistake(`must be true or false, not "${text}"`));
    case 'list':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    case 'map':
      try {
        return text.trimStart().startsWith('{') ? (JSON.parse(text) as unknown) : parsePairs(text);
      } catch {
        return new Mistake(
          'must be pairs or a JSON object, such as registry.example.com=docker-local,images.example.com=docker-remote',
        );
      }
  }
}

function parsePairs(text: string): Record<string, string> {
  const pairs = text.split(',').map((pair) => pair.trim());
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new Error('no pair');
      return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    }),
  );
}

function unknownVariable(name: string, known: Iterable<string>): Problem {
  const meant = suggest(name, [...known, ...OTHERS]);
  return { path: name, message: `is no known variable${meant ? `; did you mean ${meant}?` : ''}` };
}
