/** The document that describes the REST API, made from the table of routes. */
import { z } from 'zod';
import { PRODUCT } from '../lib/product.ts';
import { READ, type Right, type Route, route } from './route.ts';

const PATTERN = 'artifactory/api/openapi.json';
const RIGHT_TEXT: Readonly<Record<Right, string>> = {
  none: 'Anybody, without credentials.',
  reader: 'Whoever may read something; without credentials where anonymous access is on.',
  user: 'Anybody who signed in.',
  admin: 'An administrator, not narrowed by a token.',
};

/** The routes with one more, which describes them all. */
export function withDescription(routes: readonly Route[]): readonly Route[] {
  let text: string | undefined;
  const own: Route = route({
    methods: READ,
    pattern: PATTERN,
    right: 'user',
    async handle() {
      text ??= JSON.stringify(describeRoutes([...routes, own]));
      return { status: 200, text, headers: { 'Content-Type': 'application/json' } };
    },
  });
  return [own, ...routes];
}

/** An OpenAPI 3.1 document. */
export function describeRoutes(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const each of routes) {
    const path = `/${each.pattern.replaceAll('...}', '}')}`;
    paths[path] ??= {};
    for (const method of each.methods) paths[path][method.toLowerCase()] ??= operationOf(each, method);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: `${PRODUCT.name} REST API`,
      version: PRODUCT.version,
      description: 'The part of Artifactory’s REST API that this server has, and its own.',
    },
    servers: [{ url: '/' }],
    paths: Object.fromEntries(Object.entries(paths).sort(([one], [other]) => (one < other ? -1 : 1))),
    components: {
      securitySchemes: { basic: { type: 'http', scheme: 'basic' }, bearer: { type: 'http', scheme: 'bearer' } },
    },
  };
}

function operationOf({ pattern, right, body }: Route, method: string): object {
  const names = [...pattern.matchAll(/\{(\w+)(\.\.\.)?\}/g)];
  return {
    operationId: `${method.toLowerCase()} ${pattern}`.replace(/[^A-Za-z0-9]+/g, '_').replace(/_$/, ''),
    description: RIGHT_TEXT[right],
    ...(right !== 'none' && { security: [{ basic: [] }, { bearer: [] }, ...(right === 'reader' ? [{}] : [])] }),
    ...(names.length > 0 && {
      parameters: names.map(([, name, many]) => ({
        name,
        in: 'path',
        required: true,
        schema: { type: 'string' },
        ...(many !== undefined && { description: 'May hold slashes.' }),
      })),
    }),
    ...(body && {
      requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body) } } },
    }),
    responses: {
      '2XX': { description: 'Done.' },
      '4XX': { description: 'Refused; the body says why.' },
    },
  };
}

function schemaOf(body: z.ZodType): object {
  const { $schema: _schema, ...schema } = z.toJSONSchema(body, { io: 'input', unrepresentable: 'any' });
  return schema;
}
