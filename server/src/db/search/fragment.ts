/** Pieces of SQL with their parameters. `?` stands for a parameter and occurs in no other meaning. */

export type Parameter = string | number | null;

export interface Fragment {
  readonly text: string;
  readonly params: readonly Parameter[];
}

export type DialectName = 'sqlite' | 'postgres';

export const TRUE: Fragment = { text: '1 = 1', params: [] };
export const FALSE: Fragment = { text: '1 = 0', params: [] };

export function raw(text: string, ...params: Parameter[]): Fragment {
  return { text, params };
}

/** The pieces one after another, with a text between them. */
export function concat(pieces: readonly Fragment[], between: string): Fragment {
  return {
    text: pieces.map(({ text }) => text).join(between),
    params: pieces.flatMap(({ params }) => params),
  };
}

export function all(conditions: readonly Fragment[]): Fragment {
  const needed = conditions.filter((one) => one !== TRUE);
  if (needed.includes(FALSE)) return FALSE;
  return needed.length === 0 ? TRUE : balanced(needed, 'and');
}

export function any(conditions: readonly Fragment[]): Fragment {
  const needed = conditions.filter((one) => one !== FALSE);
  if (needed.includes(TRUE)) return TRUE;
  return needed.length === 0 ? FALSE : balanced(needed, 'or');
}

export function not(condition: Fragment): Fragment {
  if (condition === TRUE) return FALSE;
  if (condition === FALSE) return TRUE;
  return wrap('not (', condition, ')');
}

export function wrap(before: string, inner: Fragment, after: string): Fragment {
  return { text: `${before}${inner.text}${after}`, params: inner.params };
}

/** As a tree: SQLite counts a chain of a thousand terms as a thousand levels, and refuses it. */
function balanced(conditions: readonly Fragment[], word: 'and' | 'or'): Fragment {
  if (conditions.length === 1) return conditions[0] as Fragment;
  if (conditions.length <= 8) return wrap('(', concat(conditions, ` ${word} `), ')');
  const half = conditions.length >> 1;
  return wrap(
    '(',
    concat([balanced(conditions.slice(0, half), word), balanced(conditions.slice(half), word)], ` ${word} `),
    ')',
  );
}

/** The text as the database wants it. */
export function render(
  fragment: Fragment,
  dialect: DialectName,
): { readonly sql: string; readonly params: Parameter[] } {
  let n = 0;
  const sql = dialect === 'postgres' ? fragment.text.replace(/\?/g, () => `$${++n}`) : fragment.text;
  return { sql, params: [...fragment.params] };
}
