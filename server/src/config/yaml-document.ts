/** Parses YAML that strangers sent: plain values only, each named once, and bounded in size and depth. */
import { CORE_SCHEMA, load, YAMLException } from 'js-yaml';

const MAX_VALUES = 20_000;
const MAX_DEPTH = 20;

/** The value, or what is wrong with the text, as the end of a sentence. */
export function parseYaml(text: string): { readonly value: unknown } | { readonly problem: string } {
  let value: unknown;
  try {
    value = load(text, { schema: CORE_SCHEMA });
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    return { problem: `it is no YAML of plain values: ${error.reason}` };
  }
  const problem = new Survey().problemOf(value, 0);
  return problem === undefined ? { value } : { problem };
}

/** Walks what was parsed; an alias that multiplies itself is met at the limit, before anything copies it. */
class Survey {
  #count = 0;

  problemOf(value: unknown, depth: number): string | undefined {
    this.#count += 1;
    if (this.#count > MAX_VALUES) return `it has more than ${MAX_VALUES} values`;
    if (depth > MAX_DEPTH) return `it is nested deeper than ${MAX_DEPTH} levels`;
    if (typeof value === 'number' && !Number.isFinite(value)) return 'it holds a number that is none';
    if (typeof value !== 'object' || value === null) return undefined;
    if (Object.hasOwn(value, '__proto__')) return 'it has the key "__proto__"';
    for (const item of Object.values(value)) {
      const problem = this.problemOf(item, depth + 1);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
}
