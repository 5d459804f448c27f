/** What a chart says of itself, as far as indexes repeat it. */
import { CORE_SCHEMA, load, YAMLException } from 'js-yaml';
import { clip } from '../../core/ids.ts';
import { isChartName } from './names.ts';
import { parseVersion } from './versions.ts';

/** The fields of an index's entry that come out of the chart. */
export interface ChartMetadata {
  readonly name: string;
  readonly version: string;
  readonly apiVersion?: string;
  readonly appVersion?: string;
  readonly [field: string]: unknown;
}

/** Something is wrong with the chart; the message ends a sentence that says with which. */
export class ChartProblem extends Error {}

export const MAX_YAML_BYTES = 1024 * 1024;
const MAX_ENTRY_BYTES = 256 * 1024;
const MAX_VALUES = 20_000;
const MAX_DEPTH = 12;

const TEXTS = [
  'apiVersion',
  'name',
  'version',
  'appVersion',
  'description',
  'type',
  'kubeVersion',
  'home',
  'icon',
  'condition',
  'tags',
];
const LISTS = ['sources', 'keywords'];

/** Reads Chart.yaml, with the requirements.yaml of charts of the first form. Throws a ChartProblem. */
export function readChart(chart: Buffer, requirements: Buffer | undefined): ChartMetadata {
  const fields = mapping(parsed(chart, 'Chart.yaml'), 'Chart.yaml');
  const found: Record<string, unknown> = chartFields(fields);
  const dependencies = dependenciesOf(fields['dependencies'] ?? required(requirements));
  if (dependencies.length > 0) found['dependencies'] = dependencies;
  const { name, version } = requireNamed(found);
  const metadata = { ...found, name, version };
  if (Buffer.byteLength(JSON.stringify(metadata)) > MAX_ENTRY_BYTES) {
    throw new ChartProblem(`its Chart.yaml says more than ${MAX_ENTRY_BYTES} bytes`);
  }
  return metadata;
}

function required(requirements: Buffer | undefined): unknown {
  const file = 'requirements.yaml';
  return requirements && mapping(parsed(requirements, file), file)['dependencies'];
}

/** The fields that indexes repeat, each of the type that clients read: one of another spoils an index for them. */
export function chartFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const field of TEXTS) {
    const text = textOf(fields[field]);
    if (text !== undefined) found[field] = text;
  }
  for (const field of LISTS) {
    const list = Array.isArray(fields[field]) ? fields[field].flatMap((item) => textOf(item) ?? []) : [];
    if (list.length > 0) found[field] = list;
  }
  const maintainers = plainList(fields['maintainers'], ['name', 'email', 'url']);
  if (maintainers.length > 0) found['maintainers'] = maintainers;
  if (fields['deprecated'] === true) found['deprecated'] = true;
  const annotations = textsOf(fields['annotations']);
  if (annotations) found['annotations'] = annotations;
  const dependencies = dependenciesOf(fields['dependencies']);
  if (dependencies.length > 0) found['dependencies'] = dependencies;
  return found;
}

function requireNamed({ name, version }: Readonly<Record<string, unknown>>): { name: string; version: string } {
  if (typeof name !== 'string' || name === '') throw new ChartProblem('its Chart.yaml has no name');
  if (!isChartName(name)) {
    throw new ChartProblem(
      `"${clip(name)}" cannot be the name of a chart: use letters, digits, "-", "." and "_", beginning with a letter or digit`,
    );
  }
  if (typeof version !== 'string' || version === '') throw new ChartProblem('its Chart.yaml has no version');
  if (!parseVersion(version)) {
    throw new ChartProblem(`its version "${clip(version)}" is no semantic version, such as 1.2.3`);
  }
  return { name, version };
}

function dependenciesOf(listed: unknown) {
  if (!Array.isArray(listed)) return [];
  return listed.flatMap((item: unknown) => {
    if (typeof item !== 'object' || item === null) return [];
    const of = item as Readonly<Record<string, unknown>>;
    const [kept] = plainList([of], ['name', 'version', 'repository', 'condition', 'alias']);
    const tags = Array.isArray(of['tags']) ? of['tags'].flatMap((tag) => textOf(tag) ?? []) : [];
    const values = of['import-values'];
    return [
      {
        ...kept,
        ...(tags.length > 0 && { tags }),
        ...(of['enabled'] === true && { enabled: true }),
        ...(Array.isArray(values) && { 'import-values': values as unknown }),
      },
    ];
  });
}

function plainList(value: unknown, names: readonly string[]): Readonly<Record<string, string>>[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown) => {
    if (typeof item !== 'object' || item === null) return [];
    const of = item as Readonly<Record<string, unknown>>;
    const kept = names.flatMap((name) => {
      const text = textOf(of[name]);
      return text === undefined ? [] : [[name, text] as const];
    });
    return kept.length === 0 ? [] : [Object.fromEntries(kept)];
  });
}

function textsOf(value: unknown): Readonly<Record<string, string>> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const texts = Object.entries(value).flatMap(([key, item]) => {
    const text = textOf(item);
    return text === undefined ? [] : [[key, text] as const];
  });
  return texts.length === 0 ? undefined : Object.fromEntries(texts);
}

/** The client takes numbers and truth values for the texts they are written as. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value.toWellFormed();
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

function mapping(value: unknown, file: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ChartProblem(`its ${file} is no mapping`);
}

function parsed(bytes: Buffer, file: string): unknown {
  let value: unknown;
  try {
    value = load(bytes.toString('utf8'), { schema: CORE_SCHEMA });
  } catch (error) {
    if (error instanceof YAMLException || error instanceof RangeError) {
      throw new ChartProblem(`its ${file} is no YAML of plain values`, { cause: error });
    }
    throw error;
  }
  survey(value, file, { left: MAX_VALUES }, 0);
  return value;
}

/** An alias that multiplies itself is met at the limit, before anything copies it. */
function survey(value: unknown, file: string, budget: { left: number }, depth: number): void {
  budget.left -= 1;
  if (budget.left < 0) throw new ChartProblem(`its ${file} has more than ${MAX_VALUES} values`);
  if (depth > MAX_DEPTH) throw new ChartProblem(`its ${file} is nested deeper than ${MAX_DEPTH} levels`);
  if (typeof value !== 'object' || value === null) return;
  if (Object.hasOwn(value, '__proto__')) throw new ChartProblem(`its ${file} has the key "__proto__"`);
  for (const item of Object.values(value)) survey(item, file, budget, depth + 1);
}
