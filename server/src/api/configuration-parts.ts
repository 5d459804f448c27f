/** Parts of the server's configuration that have addresses of their own: layouts, property sets, the web server. */
import { z } from 'zod';
import type { Secrets } from '../auth/secrets.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { builtInLayouts, layoutOf } from '../core/layouts.ts';
import { nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import { mergeSections } from '../repositories/configuration-merge.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { settingOf } from '../repositories/settings.ts';
import type { SystemConfiguration } from '../repositories/system-configuration.ts';
import { type ApiRequest, bodyRoute, READ, type Route, route } from './route.ts';

export interface ConfigurationPartsDeps {
  readonly configuration: SystemConfiguration;
  readonly repositories: RepositoryDirectory;
  readonly secrets: Secrets;
}

const LAYOUTS = 'artifactory/api/admin/repolayouts';
const SETS = 'artifactory/api/propertysets';
const WEB_SERVER = 'artifactory/api/system/configuration/webServer';

const layoutBody = z.object({
  artifactPathPattern: z.string(),
  distinctiveDescriptorPathPattern: z.boolean().optional(),
  descriptorPathPattern: z.string().optional(),
  folderIntegrationRevisionRegExp: z.string().optional(),
  fileIntegrationRevisionRegExp: z.string().optional(),
});
const looseBody = z.looseObject({});

export function configurationPartRoutes(deps: ConfigurationPartsDeps): readonly Route[] {
  const set = async (request: ApiRequest<unknown>, section: string, name: string, value: unknown) => {
    await deps.configuration.change(
      nameOf(request.caller.principal),
      // A part that is sent whole replaces the one there was.
      (before) => {
        const cleared = mergeSections(deps.secrets, before, { [section]: { [name]: null } }).sections;
        return value === null
          ? cleared
          : mergeSections(deps.secrets, cleared, { [section]: { [name]: value } }).sections;
      },
    );
    await deps.repositories.reload();
  };
  return [
    route({ methods: READ, pattern: LAYOUTS, right: 'admin', handle: async () => listLayouts(deps) }),
    route({
      methods: READ,
      pattern: `${LAYOUTS}/{name}`,
      right: 'admin',
      handle: (request) => getLayout(deps, request),
    }),
    bodyRoute({
      methods: ['PUT', 'POST'],
      pattern: `${LAYOUTS}/{name}`,
      right: 'admin',
      body: layoutBody,
      async handle(request) {
        const name = request.params['name'] ?? '';
        await set(request, 'repoLayouts', name, request.body);
        return { status: 200, text: `The layout "${clip(name)}" is saved.` };
      },
    }),
    route({
      methods: ['DELETE'],
      pattern: `${LAYOUTS}/{name}`,
      right: 'admin',
      async handle(request) {
        const name = request.params['name'] ?? '';
        requireUnused(deps, name);
        await set(request, 'repoLayouts', name, null);
        return { status: 200, text: `The layout "${clip(name)}" is deleted.` };
      },
    }),
    route({
      methods: READ,
      pattern: SETS,
      right: 'admin',
      handle: async () => ({
        status: 200,
        json: Object.entries(setsOf(deps)).map(([name, value]) => ({ name, ...(value as object) })),
      }),
    }),
    route({
      methods: READ,
      pattern: `${SETS}/{name}`,
      right: 'admin',
      async handle({ params }) {
        const name = params['name'] ?? '';
        return { status: 200, json: { name, ...(requireSet(deps, name) as object) } };
      },
    }),
    bodyRoute({
      methods: ['PUT'],
      pattern: `${SETS}/{name}`,
      right: 'admin',
      body: looseBody,
      async handle(request) {
        const { name: _name, ...body } = request.body;
        await set(request, 'propertySets', request.params['name'] ?? '', body);
        return { status: 200, text: `The property set "${clip(request.params['name'] ?? '')}" is saved.` };
      },
    }),
    route({
      methods: ['DELETE'],
      pattern: `${SETS}/{name}`,
      right: 'admin',
      async handle(request) {
        const name = request.params['name'] ?? '';
        requireSet(deps, name);
        await set(request, 'propertySets', name, null);
        return { status: 200, text: `The property set "${clip(name)}" is deleted.` };
      },
    }),
    route({ methods: READ, pattern: WEB_SERVER, right: 'admin', handle: async () => getWebServer(deps) }),
    bodyRoute({
      methods: ['POST', 'PUT'],
      pattern: WEB_SERVER,
      right: 'admin',
      body: looseBody,
      async handle(request) {
        await set(request, 'reverseProxies', 'webServer', request.body);
        return { status: 200, text: 'The settings of the web server are saved.' };
      },
    }),
    route({
      methods: READ,
      pattern: 'artifactory/api/system/configuration/reverseProxy/{kind}',
      right: 'user',
      async handle() {
        throw new AppError('not_found', 'There is no reverse proxy configured for which this server writes settings.');
      },
    }),
  ];
}

function listLayouts({ configuration }: ConfigurationPartsDeps): Reply {
  const own = configuration.layouts;
  const names = new Set([...builtInLayouts(), ...own.keys()]);
  return {
    status: 200,
    json: [...names].map((name) => ({
      name,
      artifactPathPattern: layoutOf(name, own)?.artifactPathPattern,
      layoutActions: { copy: true, edit: true, delete: own.has(name) },
    })),
  };
}

async function getLayout(deps: ConfigurationPartsDeps, { params, caller }: ApiRequest): Promise<Reply> {
  const layout = layoutOf(params['name'] ?? '', deps.configuration.layouts);
  // Artifactory answers 500 here; who asks wants to know that there is none.
  if (!layout) throw new AppError('not_found', `There is no layout "${clip(params['name'] ?? '')}".`);
  const { artifact: _artifact, descriptor: _descriptor, ...definition } = layout;
  const users = deps.repositories
    .describeAll(caller.principal)
    .filter((repository) => settingOf('repoLayoutRef', repository) === layout.name);
  const keys = (rclass: string) => users.filter((user) => user.rclass === rclass).map(({ key }) => key);
  return {
    status: 200,
    json: {
      ...definition,
      repositoryAssociations: {
        localRepositories: keys('local'),
        remoteRepositories: keys('remote'),
        virtualRepositories: keys('virtual'),
        federatedRepositories: keys('federated'),
      },
    },
  };
}

/** Refuses, as `conflict`, to remove a layout that a repository has. */
export function requireUnused({ configuration, repositories }: ConfigurationPartsDeps, name: string): void {
  if (!configuration.layouts.has(name)) {
    throw new AppError('not_found', `There is no layout "${clip(name)}" that an administrator made.`);
  }
  if (builtInLayouts().includes(name)) return;
  const user = repositories.usersOfLayout(name)[0];
  if (user) throw new AppError('conflict', `The repository "${user}" has the layout "${clip(name)}", so it stays.`);
}

function setsOf({ configuration }: ConfigurationPartsDeps): Readonly<Record<string, unknown>> {
  return (configuration.section('propertySets') ?? {}) as Readonly<Record<string, unknown>>;
}

function requireSet(deps: ConfigurationPartsDeps, name: string): unknown {
  const sets = setsOf(deps);
  if (Object.hasOwn(sets, name)) return sets[name];
  throw new AppError('not_found', `There is no property set "${clip(name)}".`);
}

const WEB_SERVER_DEFAULTS = {
  key: 'direct',
  webServerType: 'DIRECT',
  artifactoryAppContext: 'artifactory',
  publicAppContext: 'artifactory',
  dockerReverseProxyMethod: 'REPOPATHPREFIX',
  useHttps: false,
  useHttp: true,
  sslPort: 443,
  httpPort: 80,
  artifactoryPort: 8081,
  routerPort: 8082,
};

function getWebServer({ configuration }: ConfigurationPartsDeps): Reply {
  const all = (configuration.section('reverseProxies') ?? {}) as Readonly<Record<string, object>>;
  return { status: 200, json: { ...WEB_SERVER_DEFAULTS, ...all['webServer'] } };
}
