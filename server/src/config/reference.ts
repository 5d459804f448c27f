/** The page about configuration, made from the schema. Run this file to print it. */
import { SECTIONS, SPECIALS } from './config.ts';
import { descriptionOf, type Field, listFields, variableOf } from './field-list.ts';

const HEAD = `# Configuration

<!-- Made by server/src/config/reference.ts; change the schema instead. -->

Settings come from a YAML file and from the environment; the environment wins. The file is the one \`ENTREPOT_CONFIG\` names, else \`entrepot.yaml\` in the working directory if there is one. All have a default, so neither is needed. They are read once, at the start; mistakes, unknown names included, are reported all at once and keep the server from starting.

\`\`\`yaml
http:
  port: 8082
  baseUrl: https://repo.example.com
docker:
  hosts:
    registry.example.com: docker-local
\`\`\`

Each field has a variable too: \`http.headerTimeoutMs\` is \`ENTREPOT_HTTP__HEADER_TIMEOUT_MS\`. Lists are separated by commas, maps are JSON objects, and an empty variable counts as not set.

Fields marked *secret* are never shown. Each can be read from a file instead: \`database.urlFile\`, or \`ENTREPOT_DATABASE__URL_FILE\`, names a file that holds \`database.url\`; a line break at its end does not count.
`;

const SPECIAL_HEAD = `## Only in the environment

| variable | default | meaning |
| --- | --- | --- |
| \`ENTREPOT_CONFIG\` | \`entrepot.yaml\`, if present | The configuration file. |
| \`ENTREPOT_MEMORY\` | \`default\` | \`small\` has the server keep to less memory, for which everything takes more of the processor. The command \`entrepot\` reads it. |
`;

/** The whole page, as Markdown. */
export function renderReference(): string {
  const sections = Object.entries(SECTIONS).map(([name, schema]) => {
    const rows = listFields({ [name]: schema }).map(
      (field) => `| \`${field.path.join('.')}\` | ${typeOf(field)} | ${defaultOf(field)} | ${field.description} |\n`,
    );
    return `\n## ${name}\n\n${descriptionOf(schema)}\n\n| field | value | default | meaning |\n| --- | --- | --- | --- |\n${rows.join('')}`;
  });
  const specials = listFields(SPECIALS).map(
    (field) => `| \`${variableOf(field.path)}\`${fileForm(field)} | ${defaultOf(field)} | ${field.description} |\n`,
  );
  return `${HEAD}${sections.join('')}\n${SPECIAL_HEAD}${specials.join('')}`;
}

function fileForm(field: Field): string {
  return field.secret ? ` or \`${variableOf(field.path)}_FILE\`` : '';
}

function typeOf(field: Field): string {
  if (field.choices) return field.choices.map((choice) => `\`${choice}\``).join(', ');
  if (field.secret) return 'text, *secret*';
  if (field.kind === 'boolean') return '`true`, `false`';
  if (!field.range) return field.kind;
  const { min, max } = field.range;
  if (max === undefined || max >= Number.MAX_SAFE_INTEGER) return min === undefined ? 'number' : `number ≥ ${min}`;
  return `number, ${min ?? 0} to ${max}`;
}

function defaultOf(field: Field): string {
  if (field.fallback === undefined) return '';
  if (field.kind === 'list' || field.kind === 'map') return 'empty';
  if (field.fallback === '') return 'empty';
  return `\`${String(field.fallback)}\``;
}

if (import.meta.main) process.stdout.write(renderReference());
