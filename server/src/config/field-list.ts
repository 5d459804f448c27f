/** What the schema says about each single field: how the environment names it, and what the reference page tells. */
import { z } from 'zod';

/** How the text of an environment variable becomes a value. */
export type FieldKind = 'text' | 'number' | 'boolean' | 'list' | 'map';

export interface Field {
  readonly path: readonly string[];
  readonly kind: FieldKind;
  /** Whether the value must not be shown, and may come from a file named by `<key>File`. */
  readonly secret: boolean;
  readonly description: string;
  /** Undefined when there is none. */
  readonly fallback: unknown;
  /** Smallest and largest value of a number. */
  readonly range: { readonly min: number | undefined; readonly max: number | undefined } | undefined;
  /** The values of a field that has few. */
  readonly choices: readonly string[] | undefined;
}

/** Every field of a shape, in the order in which it is written, those of nested objects included. */
export function listFields(shape: Readonly<Record<string, z.core.$ZodType>>, at: readonly string[] = []): Field[] {
  return Object.entries(shape).flatMap(([key, schema]) => {
    const path = [...at, key];
    const { core, fallback, secret } = unwrap(schema);
    if (core instanceof z.ZodObject) return listFields(core.shape, path);
    const description = descriptionOf(schema);
    if (description === undefined) throw new Error(`the field ${path.join('.')} has no description`);
    const kind = kindOf(core, path);
    const choices = core instanceof z.ZodEnum ? core.options.map(String) : undefined;
    const range = core instanceof z.ZodNumber ? rangeOf(core) : undefined;
    return [{ path, kind, secret, description, fallback, range, choices }];
  });
}

/** `http.headerTimeoutMs` is `ENTREPOT_HTTP__HEADER_TIMEOUT_MS`. */
export function variableOf(path: readonly string[]): string {
  const words = path.map((key) => key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase());
  return `ENTREPOT_${words.join('__')}`;
}

export function descriptionOf(schema: z.core.$ZodType): string | undefined {
  return z.globalRegistry.get(schema)?.description;
}

/** Takes off what wraps the schema that says which values there are. */
function unwrap(schema: z.core.$ZodType): { core: z.core.$ZodType; fallback: unknown; secret: boolean } {
  let fallback: unknown;
  let secret = false;
  let core = schema;
  for (;;) {
    secret ||= z.globalRegistry.get(core)?.['secret'] === true;
    if (core instanceof z.ZodDefault) fallback = core.def.defaultValue;
    if (core instanceof z.ZodPipe) core = core.def.in;
    else if (
      core instanceof z.ZodDefault ||
      core instanceof z.ZodPrefault ||
      core instanceof z.ZodOptional ||
      core instanceof z.ZodReadonly
    ) {
      core = core.def.innerType;
    } else return { core, fallback, secret };
  }
}

function kindOf(core: z.core.$ZodType, path: readonly string[]): FieldKind {
  if (core instanceof z.ZodNumber) return 'number';
  if (core instanceof z.ZodBoolean) return 'boolean';
  if (core instanceof z.ZodArray) return 'list';
  if (core instanceof z.ZodRecord) return 'map';
  if (core instanceof z.ZodString || core instanceof z.ZodURL || core instanceof z.ZodEnum) return 'text';
  throw new Error(`the field ${path.join('.')} is of a kind that the environment cannot give`);
}

function rangeOf(core: z.ZodNumber): Field['range'] {
  return { min: core.minValue ?? undefined, max: core.maxValue ?? undefined };
}
