/**
 * The shape of every route of the REST API. A route is a table entry: who may call it, what its body must look like,
 * and what it answers. Handlers get values that were checked and return replies; they see no HTTP.
 */
import { z } from 'zod';
import type { Authentication } from '../auth/authenticator.ts';
import { readAll } from '../core/bodies.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import type { Exchange } from '../http/exchange.ts';
import { parseJson } from '../lib/json.ts';

export const RIGHTS = ['none', 'reader', 'user', 'admin'] as const;
/**
 * Who may call a route: anybody, without being asked who they are; whoever may read something, which without
 * credentials means that anonymous access is on; anybody who signed in; an administrator, not narrowed by a token.
 */
export type Right = (typeof RIGHTS)[number];

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export const READ: readonly Method[] = ['GET', 'HEAD'];

export interface ApiRequest<Body = undefined> {
  readonly method: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Body;
  /** For routes that need no right: nobody. */
  readonly caller: Authentication;
  readonly exchange: Exchange;
  /** Address of the REST API as the client reached it, such as `https://host/artifactory`. */
  readonly root: string;
}

export interface Route {
  readonly methods: readonly Method[];
  readonly pattern: string;
  readonly right: Right;
  /** The shape of its body, for the document that describes the API. */
  readonly body?: z.ZodType;
  answer(request: Omit<ApiRequest, 'body'>): Promise<Reply>;
  /** Its own form of error body, where it is not that of the others. */
  renderFailure?(error: AppError, status: number): unknown;
}

interface RouteSpec<Body> {
  readonly methods: readonly Method[];
  readonly pattern: string;
  readonly right: Right;
  handle(request: ApiRequest<Body>): Promise<Reply>;
  renderFailure?(error: AppError, status: number): unknown;
}

const MAX_BODY_BYTES = 1024 * 1024;
const MAX_DEPTH = 20;
/** Given twice, these would mean one thing to a filter in front of the server and another to the server. */
const SINGLE_KEYS = ['name', 'username', 'key', 'admin', 'adminPrivileges', 'password', 'groups', 'scope', 'rclass'];
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;
const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(?:;|$)/i;

/** A route whose requests have no body; one that is sent is not read. */
export function route(spec: RouteSpec<undefined>): Route {
  return { ...spec, answer: (request) => spec.handle({ ...request, body: undefined }) };
}

/** A route whose requests have a JSON body of this shape, or a form of the same fields where that is allowed. */
export function bodyRoute<Body>(
  spec: RouteSpec<Body> & { readonly body: z.ZodType<Body>; readonly form?: boolean },
): Route {
  const { body: schema, form = false, ...rest } = spec;
  return {
    ...rest,
    body: schema,
    answer: async (request) => spec.handle({ ...request, body: await readBody(request.exchange, schema, form) }),
  };
}

/** A JSON answer with the media type Artifactory gives it, which clients may keep no copy of. */
export function typed(type: string, json: unknown): Reply {
  return { status: 200, json, headers: { 'Content-Type': `application/vnd.org.jfrog.artifactory.${type}+json` } };
}

async function readBody<Body>(exchange: Exchange, schema: z.ZodType<Body>, form: boolean): Promise<Body> {
  const type = exchange.request.headers['content-type'];
  const isForm = form && type !== undefined && FORM_TYPE.test(type);
  if (isForm) {
    const bytes = await readAll(exchange.body(), { limit: MAX_BODY_BYTES, what: 'body' });
    return check(schema, Object.fromEntries(new URLSearchParams(bytes.toString('utf8'))));
  }
  const bytes = await readJsonBytes(exchange, MAX_BODY_BYTES);
  const parsed = parseJson(bytes, { maxDepth: MAX_DEPTH, singleKeys: SINGLE_KEYS });
  if ('problem' in parsed) throw new AppError('invalid', `The body is not acceptable: ${parsed.problem}.`);
  return check(schema, withoutNulls(parsed.value));
}

/** A body that says it is JSON, for routes that parse it themselves. */
export async function readJsonBytes(exchange: Exchange, maxBytes: number): Promise<Buffer> {
  const type = exchange.request.headers['content-type'];
  // A page of another origin can have a browser send other types without asking the server first, never JSON.
  if (type !== undefined && !JSON_TYPE.test(type)) {
    throw new AppError(
      'invalid',
      `A body of the type "${clip(type)}" is not understood. Send JSON with the header "Content-Type: application/json".`,
    );
  }
  return readAll(exchange.body(), { limit: maxBytes, what: 'body' });
}

/** Clients send null for what they have nothing to say about. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
}

/** The value in the shape of the schema; `invalid` names the first field that does not fit, never what it holds. */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const problem = (issue?.message ?? 'it does not fit').replace(/^Invalid input: /, '').replace(/\.$/, '');
  const path = issue?.path.map(String).join('.') ?? '';
  const what = path === '' ? 'The body' : `The field "${clip(path)}"`;
  throw new AppError('invalid', `${what} is not acceptable: ${problem}.`);
}

/** Artifactory's clients send switches as `1` or `true`, those in Python as `True`. */
export function isSwitchedOn(value: string | null): boolean {
  return value === '1' || value?.toLowerCase() === 'true';
}

/** Said to be off, for switches that are on where nothing is said. */
export function isSwitchedOff(value: string | null): boolean {
  return value === '0' || value?.toLowerCase() === 'false';
}

/** A switch in a JSON body or a form. */
export const flag = z.union([
  z.boolean(),
  z
    .string()
    .regex(/^(?:true|false)$/i)
    .transform((text) => text.toLowerCase() === 'true'),
]);
