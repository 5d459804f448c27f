/** The document of a build: read tolerantly, kept whole, and what searches know of it. */
import { z } from 'zod';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { parseJson } from '../lib/json.ts';
import { parseMoment, renderMoment } from './dates.ts';
import { documentPath, parseBuildWord, type RunName } from './names.ts';

/** The longest document that is taken; the longest known are those of large package trees with all their paths. */
export const MAX_DOCUMENT_BYTES = 32 * 1024 * 1024;
const MAX_DEPTH = 60;
/** Artifacts, dependencies and modules together: each is a row, and all rows are written at once. */
const MAX_ENTRIES = 100_000;
const MAX_PROPERTIES = 20_000;

const word = z.union([z.string(), z.number().transform(String)]);
const words = z.array(z.string());

const artifact = z.looseObject({
  name: word.optional(),
  type: z.string().optional(),
  path: z.string().optional(),
  originalDeploymentRepo: z.string().optional(),
  sha1: z.string().optional(),
  md5: z.string().optional(),
  sha256: z.string().optional(),
});
const dependency = z.looseObject({
  id: word.optional(),
  type: z.string().optional(),
  scopes: words.optional(),
  sha1: z.string().optional(),
  md5: z.string().optional(),
  sha256: z.string().optional(),
});
const buildModule = z.looseObject({
  id: word.optional(),
  type: z.string().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  artifacts: z.array(artifact).optional(),
  dependencies: z.array(dependency).optional(),
});
const status = z.looseObject({
  status: z.string().optional(),
  comment: z.string().optional(),
  repository: z.string().optional(),
  timestamp: z.string().optional(),
  user: z.string().optional(),
  ciUser: z.string().optional(),
});
const retention = z.looseObject({
  count: z
    .union([
      z.int(),
      z
        .string()
        .regex(/^-?\d{1,9}$/)
        .transform(Number),
    ])
    .optional(),
  minimumBuildDate: z.union([z.string(), z.number()]).optional(),
  deleteBuildArtifacts: z.union([z.boolean(), z.stringbool()]).optional(),
  buildNumbersNotToBeDiscarded: z.array(word).optional(),
});
const build = z.looseObject({
  name: word,
  number: word,
  started: z.string(),
  url: z.string().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  modules: z.array(buildModule).optional(),
  statuses: z.array(status).optional(),
  buildRetention: retention.optional(),
});

export type Artifact = z.infer<typeof artifact>;
export type Dependency = z.infer<typeof dependency>;
export type Module = z.infer<typeof buildModule>;
export type Status = z.infer<typeof status>;
export type Retention = z.infer<typeof retention>;
/** A document whose known fields are of their types; unknown ones are as they came. */
export type BuildDocument = z.infer<typeof build>;

/** Takes a document as clients send it; `invalid` tells what does not fit, `too_large` what is too much. */
export function parseDocument(bytes: Buffer, principalName: string): BuildDocument {
  const sent = checked(build, parseBuildJson(bytes));
  const document: BuildDocument = {
    ...sent,
    name: parseBuildWord(String(sent.name), 'name'),
    number: parseBuildWord(String(sent.number), 'number'),
    durationMillis: sent['durationMillis'] ?? 0,
    artifactoryPrincipal: principalName,
    modules: sent.modules ?? [],
    ...(sent.statuses && { statuses: sent.statuses.map((each) => completeStatus(each, principalName)) }),
    ...(sent.buildRetention && { buildRetention: completeRetention(sent.buildRetention) }),
  };
  if (Object.keys(document.properties ?? {}).length === 0) delete document.properties;
  documentPath(runOf(document));
  checkSize(document);
  return document;
}

/** Takes the modules that are to be added to a build. */
export function parseModules(bytes: Buffer): readonly Module[] {
  return checked(z.array(buildModule), parseBuildJson(bytes));
}

/** Takes rules for the runs to be kept. */
export function parseRetention(value: unknown): Retention {
  return completeRetention(checked(retention, withoutNulls(value)));
}

/** A document that this server wrote. */
export function readDocument(bytes: Buffer): BuildDocument {
  return JSON.parse(bytes.toString('utf8')) as BuildDocument;
}

export function renderDocument(document: BuildDocument): Buffer {
  checkSize(document);
  const bytes = Buffer.from(JSON.stringify(document));
  if (bytes.length > MAX_DOCUMENT_BYTES) {
    throw new AppError('too_large', `The document of the build would be larger than ${MAX_DOCUMENT_BYTES} bytes.`);
  }
  return bytes;
}

export function runOf({ name, number, started }: BuildDocument): RunName {
  return { name: String(name), number: String(number), startedAt: parseMoment(started) };
}

/** The value of a body that is JSON within limits, without the nulls that clients send for nothing. */
export function parseBuildJson(bytes: Buffer): unknown {
  const parsed = parseJson(bytes, { maxDepth: MAX_DEPTH });
  if ('problem' in parsed) throw new AppError('invalid', `The body is not acceptable: ${parsed.problem}.`);
  return withoutNulls(parsed.value);
}

function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue?.path.map(String).join('.') ?? '';
  const problem = (issue?.message ?? 'it does not fit').replace(/^Invalid input: /, '').replace(/\.$/, '');
  throw new AppError(
    'invalid',
    `${where === '' ? 'The body' : `The field "${clip(where)}" of the build`} is not acceptable: ${problem}.`,
  );
}

/** The depth is bounded by the parser. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.filter((each) => each !== null).map(withoutNulls);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== null)
      .map(([key, field]) => [key, withoutNulls(field)]),
  );
}

function completeStatus(sent: Status, principalName: string): Status {
  const at = sent.timestamp === undefined ? new Date() : parseMoment(sent.timestamp);
  const { comment, repository, ciUser, user, ...rest } = sent;
  return {
    ...rest,
    timestamp: sent.timestamp ?? renderMoment(at),
    timestampDate: at.getTime(),
    user: user || principalName,
    ...(ciUser && { ciUser }),
    ...(repository && { repository }),
    ...(comment && { comment }),
  };
}

function completeRetention(sent: Retention): Retention {
  return {
    ...sent,
    deleteBuildArtifacts: sent.deleteBuildArtifacts ?? false,
    count: sent.count ?? -1,
    buildNumbersNotToBeDiscarded: sent.buildNumbersNotToBeDiscarded ?? [],
  };
}

function checkSize({ modules = [], properties = {} }: BuildDocument): void {
  let entries = modules.length;
  let propertyCount = Object.keys(properties).length;
  for (const { artifacts = [], dependencies = [], properties: own = {} } of modules) {
    entries += artifacts.length + dependencies.length;
    propertyCount += Object.keys(own).length;
  }
  if (entries > MAX_ENTRIES) {
    throw new AppError(
      'too_large',
      `A build may have ${MAX_ENTRIES} modules, artifacts and dependencies; this one has ${entries}.`,
    );
  }
  if (propertyCount > MAX_PROPERTIES) {
    throw new AppError('too_large', `A build may have ${MAX_PROPERTIES} properties; this one has ${propertyCount}.`);
  }
}
