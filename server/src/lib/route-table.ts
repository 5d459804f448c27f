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
  readonly #routes: readonly (Compiled & { readonly route: R })[];

  constructor(routes: readonly R[]) {
    this.#routes = routes.map((route) => ({ route, ...compile(route.pattern) }));
  }

  /** The first route that takes the path and the method; undefined when no route takes the path. */
  match(method: string, path: string): RouteMatch<R> | undefined {
    const allow = new Set<string>();
    for (const { route, beginning, expression, names } of this.#routes) {
      // Most routes are passed over, and this is the cheapest way to tell.
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

interface Compiled {
  /** What stands before the first name. */
  readonly beginning: string;
  readonly expression: RegExp;
  readonly names: readonly string[];
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
  return { beginning: pattern.split('{', 1)[0] ?? '', expression: new RegExp(`^${source}$`), names };
}
