/** The server's configuration as a whole: the descriptor, partial changes in YAML, and its single parts. */
import type { Secrets } from '../auth/secrets.ts';
import { parseYaml } from '../config/yaml-document.ts';
import { AppError } from '../core/errors.ts';
import { clip, type RepoKey } from '../core/ids.ts';
import { REPOSITORY_CLASSES, type RepositoryClass } from '../core/package-types.ts';
import { nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { Administration, NewRepository } from '../repositories/administration.ts';
import { mergeSections } from '../repositories/configuration-merge.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import type { Settings } from '../repositories/settings.ts';
import type { SystemConfiguration } from '../repositories/system-configuration.ts';
import { requireUnused } from './configuration-parts.ts';
import { renderDescriptor } from './descriptor.ts';
import { requireNoLoop } from './repositories.ts';
import { type ApiRequest, READ, type Route, route } from './route.ts';
import { readTextBody } from './text-body.ts';

export interface ConfigurationDeps {
  readonly configuration: SystemConfiguration;
  readonly repositories: RepositoryDirectory;
  readonly administration: Administration;
  readonly secrets: Secrets;
  readonly anonymousAccess: boolean;
  readonly hideUnauthorized: boolean;
  /** The address that the configuration file names, which goes before one that is set here. */
  readonly configuredOrigin: string | undefined;
}

const DESCRIPTOR = 'artifactory/api/system/configuration';
const YAML_TYPES = ['application/yaml', 'application/x-yaml', 'text/yaml', 'application/vnd.yaml'];
const LISTS = new Map<string, RepositoryClass>(REPOSITORY_CLASSES.map((rclass) => [`${rclass}Repositories`, rclass]));

export function configurationRoutes(deps: ConfigurationDeps): readonly Route[] {
  return [
    route({ methods: READ, pattern: DESCRIPTOR, right: 'admin', handle: (request) => get(deps, request) }),
    route({ methods: ['PATCH'], pattern: DESCRIPTOR, right: 'admin', handle: (request) => patch(deps, request) }),
    route({
      methods: ['POST'],
      pattern: DESCRIPTOR,
      right: 'admin',
      async handle() {
        throw new AppError(
          'invalid',
          'The whole configuration cannot be replaced here. Send what is to change as YAML with the method PATCH.',
        );
      },
    }),
    route({
      methods: ['PUT'],
      pattern: `${DESCRIPTOR}/baseUrl`,
      right: 'admin',
      handle: (request) => putBaseUrl(deps, request),
    }),
  ];
}

async function get(deps: ConfigurationDeps, { caller }: ApiRequest): Promise<Reply> {
  const text = renderDescriptor({ ...deps, repositories: deps.repositories.describeAll(caller.principal) });
  return {
    status: 200,
    text,
    headers: {
      'Content-Type': 'application/xml',
      ETag: `"${deps.configuration.document.revision}"`,
      'Cache-Control': 'no-store',
    },
  };
}

async function patch(deps: ConfigurationDeps, { exchange, caller }: ApiRequest): Promise<Reply> {
  const parsed = parseYaml(await readTextBody(exchange, YAML_TYPES));
  if ('problem' in parsed) throw new AppError('invalid', `The body is not acceptable: ${parsed.problem}.`);
  const body = requireMap(parsed.value ?? {}, 'The body');
  const by = nameOf(caller.principal);
  const sections = Object.fromEntries(Object.entries(body).filter(([name]) => !LISTS.has(name)));
  if ('urlBase' in sections) requireFreeOrigin(deps);
  for (const [name, layout] of Object.entries((sections['repoLayouts'] ?? {}) as Settings)) {
    if (layout === null) requireUnused(deps, name);
  }
  // Whatever is wrong with any part is found before any part is changed.
  mergeSections(deps.secrets, deps.configuration.document.sections, sections);
  const repositories = await changeRepositories(deps, body, { by, origin: exchange.origin });
  let changes = 0;
  if (Object.keys(sections).length > 0) {
    const expected = revisionOf(exchange.request.headers['if-match']);
    await deps.configuration.change(
      by,
      (before) => {
        const merged = mergeSections(deps.secrets, before, sections);
        changes = merged.changes;
        return merged.sections;
      },
      { ...(expected !== undefined && { expected }) },
    );
    await deps.repositories.reload();
  }
  return { status: 200, text: `${changes + repositories} changes to config merged successfully` };
}

/** Creates, changes and deletes the repositories that the lists of the body name. */
async function changeRepositories(
  deps: ConfigurationDeps,
  body: Settings,
  { by, origin }: { readonly by: string; readonly origin: string },
): Promise<number> {
  const made: NewRepository[] = [];
  const changed: { key: string; settings: Settings }[] = [];
  const gone: string[] = [];
  for (const [list, rclass] of LISTS) {
    for (const [key, value] of Object.entries(requireMap(body[list] ?? {}, `The section "${list}"`))) {
      const known = deps.repositories.classOf(key as RepoKey);
      if (known !== undefined && known !== rclass) {
        throw new AppError('invalid', `The repository "${clip(key)}" is ${known}, so "${list}" cannot name it.`);
      }
      if (value === null) {
        if (known) gone.push(key);
        continue;
      }
      const settings = asSettings(requireMap(value, `The repository "${clip(key)}"`));
      requireNoLoop(settings, origin);
      if (known) changed.push({ key, settings });
      else made.push({ key, rclass, packageType: String(settings['packageType'] ?? 'generic'), config: settings });
    }
  }
  if (made.length > 0) await deps.administration.createAll(made, by);
  if (changed.length > 0) await deps.administration.updateAll(changed, by);
  for (const key of gone) await deps.administration.delete(key, by);
  return made.length + changed.length + gone.length;
}

/** The descriptor calls two fields by other names than the API of repositories. */
function asSettings({ type, repoLayout, ...settings }: Settings): Settings {
  return {
    ...settings,
    ...(typeof type === 'string' && { packageType: type }),
    ...(typeof repoLayout === 'string' && { repoLayoutRef: repoLayout }),
  };
}

async function putBaseUrl(deps: ConfigurationDeps, { exchange, caller }: ApiRequest): Promise<Reply> {
  const url = (await readTextBody(exchange, ['text/plain', 'application/x-www-form-urlencoded'])).trim();
  requireFreeOrigin(deps);
  await deps.configuration.change(
    nameOf(caller.principal),
    (before) => mergeSections(deps.secrets, before, { urlBase: url === '' ? null : url }).sections,
  );
  return { status: 200, text: `URL base has been successfully updated to "${url}".` };
}

function requireFreeOrigin({ configuredOrigin }: ConfigurationDeps): void {
  if (configuredOrigin === undefined) return;
  throw new AppError(
    'conflict',
    'The address of the server is set in its configuration, as "http.baseUrl". Change it there, or remove it there first.',
  );
}

function revisionOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const [, revision] = /^"(\d{1,15})"$/.exec(header.trim()) ?? [];
  if (revision === undefined)
    throw new AppError('invalid', 'The header "If-Match" must hold the ETag of the descriptor.');
  return Number(revision);
}

function requireMap(value: unknown, what: string): Settings {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Settings;
  throw new AppError('invalid', `${what} must be a map of names to values.`);
}
