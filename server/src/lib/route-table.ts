/** Matches paths against patterns with `{name}` for one segment and `{name...}` for as many as possible. */

export interface RoutePattern {
  readonly methods: readonly string[];
  readonly pattern: string;
}

export type RouteMatch<R> =
  | { readonly route: R; readonly params: Readonly<Record<string, string>> }
  /** The path is known, the method is not. */
  | { readonly allow: readonly string[] };

export class RouteTable<R extends RoutePattern> {
  /** Routes that may take a path, by how it opens; of a path that opens in any other way, `#others` are all. */
  readonly #byOpening: ReadonlyMap<string, readonly Entry<R>[]>;
  readonly #others: readonly Entry<R>[];

  constructor(routes: readonly R[]) {
    const entries = routes.map((route) => ({ route, ...compile(route.pattern) }));
    this.#others = entries.filter(({ opening }) => opening === undefined);
    this.#byOpening = new Map(
      entries.flatMap(({ opening }) =>
        opening === undefined
          ? []
          : [[opening, entries.filter((other) => other.opening === undefined || other.opening === opening)]],
      ),
    );
  }

  /** The first route that takes the path and the method; undefined when no route takes the path. */
  match(method: string, path: string): RouteMatch<R> | undefined {
    const allow = new Set<string>();
    for (const { route, beginning, expression, names } of this.#byOpening.get(openingOf(path)) ?? this.#others) {
      // Most of these are passed over too, and this is the cheapest way to tell.
      if (!path.startsWith(beginning)) continue;
      const found = expression.exec(path);
      if (!found) continue;
      if (route.methods.includes(method)) {
        const params: Record<string, string> = {};
        for (let i = 0; i < names.length; i++) params[names[i] as string] = found[i + 1] ?? '';
        return { route, params };
      }
      for (const known of route.methods) allow.add(known);
    }
    return allow.size > 0 ? { allow: [...allow] } : undefined;
  }
}

/** So many words tell most routes of an API apart. */
const OPENING_WORDS = 3;

interface Compiled {
  /** The first words, for patterns that begin with that many without a name. */
  readonly opening: string | undefined;
  /** What stands before the first name. */
  readonly beginning: string;
  readonly expression: RegExp;
  readonly names: readonly string[];
}

type Entry<R> = Compiled & { readonly route: R };

/** The first words of a path, or all of a shorter one. */
function openingOf(path: string): string {
  let end = -1;
  for (let words = 0; words < OPENING_WORDS; words++) {
    end = path.indexOf('/', end + 1);
    if (end < 0) return path;
  }
  return path.slice(0, end);
}

/** Greedy groups take the last place where the literal words fit, which is what names with slashes need. */
function compile(pattern: string): Compiled {
  const names: string[] = [];
  const source = pattern
    .split(/(\{[a-z]+(?:\.\.\.)?\})/i)
    .map((part) => {
      const [, name, many] = /^\{([a-z]+)(\.\.\.)?\}$/i.exec(part) ?? [];
      if (name === undefined) return part.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
      names.push(name);
      return many ? '(.+)' : '([^/]+)';
    })
    .join('');
  const opening = openingOf(pattern);
  return {
    opening: opening.split('/').length === OPENING_WORDS && !opening.includes('{') ? opening : undefined,
    beginning: pattern.split('{', 1)[0] ?? '',
    expression: new RegExp(`^${source}$`),
    names,
  };
}
