/** The settings of a repository: what is taken from whoever sets them, and what is answered. */
import { z } from 'zod';
import type { Secrets } from '../auth/secrets.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { packageTypeOf, REPOSITORY_CLASSES, type RepositoryClass } from '../core/package-types.ts';
import { type FieldKind, fieldsOf, type SettingField } from './fields.ts';

export type Settings = Readonly<Record<string, unknown>>;

/** What is shown in place of a secret; sent back, it leaves the secret as it is. */
export const MASK = '********';
const PURPOSE = 'repository';
const MAX_TEXT = 10_000;
const MAX_COUNT = 2 ** 31 - 1;
const MAX_NAMES = 1000;

const textValue = z
  .string()
  .max(MAX_TEXT)
  .refine((value) => !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(value), 'it holds a control character');
const flagValue = z.union([z.boolean(), z.enum(['true', 'false']).transform((value) => value === 'true')]);
const countValue = z.union([
  z.int().min(0).max(MAX_COUNT),
  z
    .string()
    .regex(/^\d{1,9}$/)
    .transform(Number),
]);
/** Tools that split an empty text at its commas send a list with one empty name. */
const namesValue = z
  .array(z.string().max(500))
  .max(MAX_NAMES)
  .transform((names) => names.filter((name) => name !== ''));

const KINDS: Readonly<Record<FieldKind, z.ZodType>> = {
  text: textValue,
  flag: flagValue,
  count: countValue,
  names: namesValue,
  members: z
    .array(
      z.object({
        url: z.string().max(2000),
        enabled: flagValue.default(true),
        accessToken: z.string().max(4000).optional(),
      }),
    )
    .max(100),
  headers: z
    .array(
      z.object({
        name: z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}$/, 'it is no name of a header'),
        value: z
          .string()
          .max(4000)
          .regex(/^[\t\u0020-\u007e\u0080-\u00ff]*$/, 'it holds a line break or a control character'),
        sensitive: flagValue.default(false),
      }),
    )
    .max(50),
  synchronisation: z.object({
    enabled: flagValue.default(false),
    statistics: z.object({ enabled: flagValue.default(false) }).default({ enabled: false }),
    properties: z.object({ enabled: flagValue.default(false) }).default({ enabled: false }),
    source: z.object({ originAbsenceDetection: flagValue.default(false) }).default({ originAbsenceDetection: false }),
  }),
};

const SCHEMAS = new Map(
  REPOSITORY_CLASSES.map((rclass) => [
    rclass,
    z.object(Object.fromEntries(fieldsOf(rclass).map((field) => [field.name, schemaOf(field).optional()]))),
  ]),
);

function schemaOf({ kind, choices }: SettingField): z.ZodType {
  if (!choices) return KINDS[kind];
  const byLower = new Map(choices.map((choice) => [choice.toLowerCase(), choice]));
  return z.string().transform((value, context) => {
    const choice = byLower.get(value.toLowerCase());
    if (choice === undefined) context.addIssue({ code: 'custom', message: `it must be one of: ${choices.join(', ')}` });
    return choice ?? value;
  });
}

/** The schema of what may be set for a class: for documents that describe the API. */
export function settingsSchema(rclass: RepositoryClass): z.ZodType {
  return SCHEMAS.get(rclass) ?? z.object({});
}

/** What the body sets, in the types of the table; `invalid` names the first field that does not fit. */
export function parseSettings(rclass: RepositoryClass, body: Settings): Settings {
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null && value !== undefined));
  const result = settingsSchema(rclass).safeParse(given);
  if (result.success) return result.data as Settings;
  const issue = result.error.issues[0];
  const problem = (issue?.message ?? 'it does not fit').replace(/^Invalid input: /, '').replace(/\.$/, '');
  throw new AppError(
    'invalid',
    `The field "${clip(issue?.path.map(String).join('.') ?? '')}" is not acceptable: ${problem}.`,
  );
}

/** All settings of a class with what is answered where nobody set them; secrets are masked. */
export function completeSettings(
  {
    rclass,
    packageType,
    config,
  }: { readonly rclass: RepositoryClass; readonly packageType: string; readonly config: Settings },
  options: { readonly short?: boolean } = {},
): Settings {
  const complete: Record<string, unknown> = {};
  for (const field of fieldsOf(rclass)) {
    if (options.short && !field.common) continue;
    const value = config[field.name] ?? field.fallback(packageType, { ...config, rclass });
    if (value !== undefined) complete[field.name] = shown(field, value);
  }
  return options.short ? complete : { ...complete, ...supportFlags(packageType) };
}

/** The value of one setting, set or not. */
export function settingOf(
  name: string,
  repository: { readonly rclass: RepositoryClass; readonly packageType: string; readonly config: Settings },
): unknown {
  const { rclass, packageType, config } = repository;
  const field = fieldsOf(rclass).find((each) => each.name === name);
  return config[name] ?? field?.fallback(packageType, { ...config, rclass });
}

/** Switches of the time before package types, which old clients still look at. */
const SUPPORTED =
  'Npm Docker NuGet Gems Bower Debian Pypi Puppet Vagrant GitLfs Conan Chef CocoaPods Composer DistRepo'.split(' ');

function supportFlags(packageType: string): Settings {
  return Object.fromEntries(
    SUPPORTED.map((name) => [`enable${name}Support`, packageTypeOf(name)?.name === packageType]),
  );
}

interface Sealed {
  readonly sealed: string;
}

function isSealed(value: unknown): value is Sealed {
  return typeof value === 'object' && value !== null && 'sealed' in value && typeof value.sealed === 'string';
}

/** A value as anybody may see it. */
function shown(field: SettingField, value: unknown): unknown {
  if (field.secret) return isSealed(value) ? MASK : '';
  return Array.isArray(value) ? value.map(withoutSecrets) : value;
}

function withoutSecrets(item: unknown): unknown {
  if (typeof item !== 'object' || item === null) return item;
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, isSealed(value) ? MASK : value]));
}

/** Settings as they are stored: secrets encrypted for this repository, masks replaced by what they stand for. */
export function sealSettings(secrets: Secrets, key: string, given: Settings, before: Settings): Settings {
  const context = key.toLowerCase();
  const seal = (value: unknown, kept: unknown): unknown => {
    if (value === MASK) return isSealed(kept) ? kept : undefined;
    return value === '' || typeof value !== 'string' ? undefined : { sealed: secrets.seal(PURPOSE, value, context) };
  };
  const sealed: Record<string, unknown> = { ...given };
  if ('password' in given) sealed['password'] = seal(given['password'], before['password']) ?? '';
  sealItems(sealed, before, { list: 'customHttpHeaders', by: 'name', secret: 'value', seal, when: 'sensitive' });
  sealItems(sealed, before, { list: 'members', by: 'url', secret: 'accessToken', seal });
  // Whoever points the repository at another host must not have the old host's secrets sent there.
  const moved = 'url' in given && originOf(given['url']) !== originOf(before['url']);
  if (moved) forgetSecrets(sealed, given, before);
  return sealed;
}

/** Takes away what was kept encrypted, unless it was entered again. */
function forgetSecrets(sealed: Record<string, unknown>, given: Settings, before: Settings): void {
  if (isSealed(before['password']) && (!('password' in given) || given['password'] === MASK)) sealed['password'] = '';
  const headers = sealed['customHttpHeaders'] ?? before['customHttpHeaders'];
  if (!Array.isArray(headers)) return;
  const entered = new Set(
    (Array.isArray(given['customHttpHeaders']) ? (given['customHttpHeaders'] as readonly Settings[]) : [])
      .filter(({ value }) => value !== MASK)
      .map(({ name }) => name),
  );
  sealed['customHttpHeaders'] = (headers as readonly Settings[]).map((header) =>
    isSealed(header['value']) && !entered.has(header['name']) ? { ...header, value: '' } : header,
  );
}

interface SealedItems {
  readonly list: string;
  /** What tells the items apart. */
  readonly by: string;
  readonly secret: string;
  /** The field that says whether an item holds a secret, where not all do. */
  readonly when?: string;
  seal(value: unknown, kept: unknown): unknown;
}

function sealItems(settings: Record<string, unknown>, before: Settings, { list, by, secret, seal, when }: SealedItems) {
  const items = settings[list];
  if (!Array.isArray(items)) return;
  const known = Array.isArray(before[list]) ? (before[list] as readonly Settings[]) : [];
  settings[list] = (items as readonly Settings[]).map((item) => {
    if (item[secret] === undefined || (when !== undefined && item[when] !== true)) return item;
    const kept = known.find((other) => other[by] === item[by])?.[secret];
    return { ...item, [secret]: seal(item[secret], kept) ?? '' };
  });
}

function originOf(url: unknown): string | undefined {
  return typeof url === 'string' && URL.canParse(url) ? new URL(url).origin : undefined;
}

/** A stored secret in the clear, for whoever sends it to where it belongs. */
export function openSecret(secrets: Secrets, key: string, value: unknown): string | undefined {
  return isSealed(value) ? secrets.open(PURPOSE, value.sealed, key.toLowerCase()).toString('utf8') : undefined;
}

/** What changed, field by field, without secrets: for the audit trail. */
export function describeChanges(before: Settings, after: Settings): Readonly<Record<string, unknown>> {
  const changes: Record<string, unknown> = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, now] = [before[name], after[name]];
    if (JSON.stringify(old) === JSON.stringify(now)) continue;
    changes[name] = { from: harmless(old), to: harmless(now) };
  }
  return changes;
}

function harmless(value: unknown): unknown {
  if (isSealed(value)) return MASK;
  if (Array.isArray(value)) return value.slice(0, 100).map(withoutSecrets);
  return typeof value === 'string' ? clip(value, 500) : value;
}

/** The value of a setting as text; what is no text says nothing. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
