/** The sections of the server's configuration descriptor that can be set, what they may hold, and what they are unset. */
import { z } from 'zod';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';

export interface ConfigurationSection {
  readonly name: string;
  readonly schema: z.ZodType;
  /** What is in force where nothing was set. */
  readonly fallback?: unknown;
  /** What it does on this server; undefined where it is kept and shown but changes nothing. */
  readonly effect?: string;
}

const MAX_ELEMENTS = 500;
const flag = z.boolean();
const count = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);
const text = z.string().max(4000);
/** Empty values are written as nothing in YAML. */
const name = z.string().regex(/^[^\u0000-\u001f\u007f<>/\\]{1,100}$/, 'it is no name');
const named = (value: z.ZodType) =>
  z
    .record(name, value)
    .refine((all) => Object.keys(all).length <= MAX_ELEMENTS, `it has more than ${MAX_ELEMENTS} elements`);

/** Quartz' form; never more often than once a minute. */
const cron = z
  .string()
  .refine(isSparseCron, 'it is no cron expression of six or seven fields that begins with a second');

function isSparseCron(expression: string): boolean {
  const fields = expression.trim().split(/\s+/);
  if (expression.length > 120 || fields.length < 6 || fields.length > 7) return false;
  const [seconds = '', , , day = ''] = fields;
  return /^[0-5]?\d$/.test(seconds) && fields.every((field) => /^[\w*?/,#-]+$/.test(field)) && !(Number(day) > 31);
}

const scheduled = z.looseObject({ cronExp: cron.optional() });

const SECTIONS: readonly ConfigurationSection[] = [
  { name: 'serverName', schema: text },
  {
    name: 'offlineMode',
    schema: flag,
    fallback: false,
    effect: 'all remote repositories serve what is kept and ask nothing',
  },
  { name: 'helpLinksEnabled', schema: flag, fallback: true },
  { name: 'fileUploadMaxSizeMb', schema: count, fallback: 100 },
  { name: 'dateFormat', schema: text, fallback: 'dd-MM-yy HH:mm:ss z' },
  {
    name: 'mailServer',
    schema: z.looseObject({
      enabled: flag.optional(),
      host: text.optional(),
      port: z.int().min(1).max(65_535).optional(),
      username: text.optional(),
      password: text.optional(),
      from: text.optional(),
      subjectPrefix: text.optional(),
      tls: flag.optional(),
      ssl: flag.optional(),
      artifactoryUrl: text.optional(),
    }),
  },
  {
    name: 'backups',
    schema: named(
      z.looseObject({ enabled: flag.optional(), cronExp: cron.optional(), retentionPeriodHours: count.optional() }),
    ),
  },
  {
    name: 'proxies',
    schema: named(
      z.looseObject({
        host: z.string().regex(/^[A-Za-z0-9.:[\]-]{1,255}$/, 'it is no host name'),
        port: z.int().min(1).max(65_535),
        username: text.optional(),
        password: text.optional(),
        ntHost: text.optional(),
        domain: text.optional(),
        platformDefault: flag.optional(),
        redirectToHosts: text.optional(),
        services: z.array(text).max(20).optional(),
      }),
    ),
    effect: 'what remote repositories ask through that name one, or, with `platformDefault`, that name none',
  },
  { name: 'reverseProxies', schema: named(z.looseObject({})) },
  {
    name: 'propertySets',
    schema: named(
      z.object({
        visible: flag.default(true),
        properties: named(
          z.object({
            predefinedValues: named(z.object({ defaultValue: flag.default(false) })).default({}),
            closedPredefinedValues: flag.default(false),
            multipleChoice: flag.default(false),
          }),
        ).default({}),
      }),
    ),
    fallback: {
      artifactory: {
        visible: true,
        properties: { licenses: { predefinedValues: {}, closedPredefinedValues: false, multipleChoice: true } },
      },
    },
  },
  {
    name: 'urlBase',
    schema: z.string().refine(isBaseUrl, 'it must be http(s)://host, with nothing or "/artifactory" behind it'),
    effect: 'the address in links, where the configuration file names none',
  },
  {
    name: 'repoLayouts',
    schema: named(
      z.object({
        artifactPathPattern: z.string(),
        distinctiveDescriptorPathPattern: flag.default(false),
        descriptorPathPattern: z.string().optional(),
        folderIntegrationRevisionRegExp: z.string().default('.*'),
        fileIntegrationRevisionRegExp: z.string().default('.*'),
      }),
    ),
    effect: 'how paths read as modules and revisions',
  },
  { name: 'gcConfig', schema: scheduled, fallback: { cronExp: '0 0 /4 * * ?' } },
  { name: 'cleanupConfig', schema: scheduled, fallback: { cronExp: '0 12 5 * * ?' } },
  { name: 'virtualCacheCleanupConfig', schema: scheduled, fallback: { cronExp: '0 12 0 * * ?' } },
  {
    name: 'folderDownloadConfig',
    schema: z.object({
      enabled: flag.optional(),
      enabledForAnonymous: flag.optional(),
      maxConcurrentRequests: count.optional(),
      maxDownloadSizeMb: count.optional(),
      maxFiles: count.optional(),
    }),
    fallback: {
      enabled: false,
      enabledForAnonymous: false,
      maxConcurrentRequests: 10,
      maxDownloadSizeMb: 1024,
      maxFiles: 5000,
    },
    effect: 'whether and how folders are downloaded as archives, before what the configuration file says',
  },
  {
    name: 'trashcanConfig',
    schema: z.object({
      enabled: flag.optional(),
      allowPermDeletes: flag.optional(),
      retentionPeriodDays: count.optional(),
    }),
    fallback: { enabled: true, allowPermDeletes: false, retentionPeriodDays: 14 },
    effect: 'whether what is deleted is kept and for how many days, before what the configuration file says',
  },
];

const BY_NAME = new Map(SECTIONS.map((section) => [section.name, section]));

/** Those that can be set, in the order of the descriptor. */
export function configurationSections(): readonly ConfigurationSection[] {
  return SECTIONS;
}

/** The section of this name; `invalid` says why it cannot be set, where it is known why. */
export function requireSection(wanted: string): ConfigurationSection {
  const section = BY_NAME.get(wanted);
  if (section) return section;
  const why = ELSEWHERE.get(wanted) ?? `is not known here. Known are: ${[...BY_NAME.keys()].join(', ')}`;
  throw new AppError('invalid', `The section "${clip(wanted)}" ${why}.`);
}

/** Sections that Artifactory has and that are not set in this way here. */
const ELSEWHERE = new Map([
  ['security', 'is set in the configuration file, under "security", and through the API of users and tokens'],
  ['keyPairs', 'is set through the API of key pairs'],
  ['localReplications', 'cannot be set yet: there are no replications'],
  ['remoteReplications', 'cannot be set yet: there are no replications'],
]);

function isBaseUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const url = new URL(value);
  const plain = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  return plain && /^https?:$/.test(url.protocol) && /^\/(?:artifactory\/?)?$/.test(url.pathname);
}
