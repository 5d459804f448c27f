/** The composition root: with the state and the background work, the only file that knows every concrete class. */
import { Api } from './api/index.ts';
import { bootstrapAdmin } from './auth/accounts.ts';
import { approvedSignIn, ownAccount } from './auth/own-account.ts';
import { startBackground } from './background.ts';
import { relocateFileOf } from './builds/relocate-file.ts';
import { lockData } from './cli/server-lock.ts';
import { addressRanges } from './config/fields.ts';
import type { Config } from './config/load.ts';
import { remoteKeyOf } from './core/cache-keys.ts';
import { AppError } from './core/errors.ts';
import type { RepoKey } from './core/ids.ts';
import type { RecordedEvent } from './events/event-log.ts';
import { Feed } from './events/feed.ts';
import { ContentPlane } from './gateway/content/plane.ts';
import { Gateway } from './gateway/gateway.ts';
import { accessLog } from './http/access-log.ts';
import { Metrics } from './http/metrics.ts';
import { registerRemoteMetrics } from './http/remote-metrics.ts';
import { HttpServer } from './http/server.ts';
import { COMPATIBLE_REVISION, COMPATIBLE_VERSION } from './lib/product.ts';
import { tellOutcome } from './repositories/first-start-report.ts';
import { READ_ONLY } from './repositories/read-only.ts';
import { cacheIndexConsumer } from './repositories/remote/cache-index.ts';
import { FORGOTTEN } from './repositories/remote/inspection.ts';
import { CONFIGURATION } from './repositories/system-configuration.ts';
import { archiveConsumer } from './search/archive-index.ts';
import { type Core, type Log, type Outside, openCore } from './state.ts';

export interface RunningApp {
  readonly core: Core;
  readonly ports: readonly number[];
  /** Where people on this machine reach it. */
  readonly origin: string;
  /** Made up at the first start, when no other password was given. */
  readonly generatedPassword: string | undefined;
  stop(): Promise<void>;
}

/** Starts the server and its background work; the only one over its data folder, where the database is a file in it. */
export async function startApp(config: Config, log: Log, outside: Outside = {}): Promise<RunningApp> {
  const lock = await lockData(config, 'server');
  try {
    const app = await startUnlocked(config, log, outside);
    return {
      ...app,
      async stop() {
        await app.stop();
        await lock?.release();
      },
    };
  } catch (error) {
    await lock?.release();
    throw error;
  }
}

async function startUnlocked(config: Config, log: Log, outside: Outside): Promise<RunningApp> {
  const core = await openCore(config, log, outside);
  const { database, repositories, permissions, authenticator } = core;
  const admin = await bootstrapAdmin(core.accounts, { password: config.adminPassword?.reveal() });
  await core.administration.createSystemRepositories();
  await core.firstStart.begin(config.bootstrap);

  const feed = new Feed({
    database,
    log: core.events,
    onError: (error) => log.warn({ err: error }, 'the event feed failed'),
  });
  const isForgotten = (event: RecordedEvent) => event.type === 'setting.changed' && event.subject === FORGOTTEN;
  const reloadSettings = async (subjects: readonly string[]) => {
    if (subjects.includes(READ_ONLY)) await core.readOnly.reload();
    if (!subjects.includes(CONFIGURATION)) return;
    await core.configuration.reload();
    await repositories.reload();
  };
  feed.onEvents((recorded) => {
    const settings = recorded.flatMap((event) => (event.type === 'setting.changed' ? event.subject : []));
    for (const event of recorded) {
      if (!isForgotten(event) || !('changes' in event)) continue;
      const repoId = repositories.idOf(String(event.changes?.['repo']) as RepoKey);
      if (repoId !== undefined) core.remotes.freshness.forget(repoId);
    }
    if (settings.length > 0) {
      void reloadSettings(settings).catch((error: unknown) => log.warn({ err: error }, 'settings could not be read'));
    }
    if (recorded.some(({ type }) => type.startsWith('repository.'))) {
      void repositories
        .reload()
        .then(() => {
          core.remotes.traffic.keep((key) => repositories.has(key));
          return core.upstreams.keep((key) => repositories.has(key));
        })
        .catch((error: unknown) => log.warn({ err: error }, 'repositories could not be read'));
    }
    if (recorded.some(({ type }) => /^(user|group|permission|token|repository)\./.test(type))) {
      core.principals.invalidate();
      permissions.invalidate();
    }
  });
  if (config.search.indexArchives) feed.consume(archiveConsumer());
  feed.consume(cacheIndexConsumer(core));
  await feed.start();
  await core.configuration.reload();
  await core.readOnly.reload();
  await repositories.reload();
  await core.veils.load();
  await permissions.refresh();

  const metrics = new Metrics();
  registerRemoteMetrics(metrics, { traffic: core.remotes.traffic, pauses: () => core.upstreams.paused() });
  const background = startBackground(core, log, metrics);
  const api = new Api({
    ...core,
    metrics,
    isDraining: () => server.draining,
    sweepNow: background.sweepNow,
    buildOrders: background.buildOrders,
    relocateFile: relocateFileOf(core),
    enqueueAssembly: background.enqueueAssembly,
    reindexArchives: background.reindexArchives,
    ...background.ofTree,
    anonymousAccess: config.security.anonymousAccess,
    hideUnauthorized: config.security.hideUnauthorized,
    configuredOrigin: config.http.baseUrl,
    storageNames: { database: database.dialect.name, blobs: config.storage.driver },
  });
  const ports = [config.http.port, ...Object.keys(config.docker.ports).map(Number)];
  const server = new HttpServer({
    ...config.http,
    ports,
    get baseUrl() {
      return config.http.baseUrl ?? core.configuration.origin;
    },
    headers: {
      'X-JFrog-Version': `Artifactory/${COMPATIBLE_VERSION} ${COMPATIBLE_REVISION}`,
      'X-Artifactory-Id': core.instanceId.replaceAll('-', ''),
      'X-Artifactory-Node-Id': core.instanceId.slice(0, 8),
    },
    trustedProxies: addressRanges(config.http.trustedProxies),
    handlers: [
      { begin: (exchange) => api.beginKnown(exchange) },
      new Gateway({
        formats: core.formats,
        repositories,
        authenticator,
        permissions,
        bindings: { ...config.docker, domain: config.docker.domain, has: (key) => repositories.has(key) },
        issueToken(authentication, options) {
          if (!authentication.authenticated && !config.security.anonymousAccess) {
            throw new AppError('unauthenticated', 'Authentication is required.');
          }
          return core.tokens.issueRegistry({ ...authentication, ...options });
        },
        accountOf: (authentication) => ownAccount(core.accounts, authentication),
        approvedSignIn: (code) => approvedSignIn(core.accounts, code),
      }),
      api,
      new ContentPlane({ ...core, archives: config.archives }),
    ],
    accessLog: accessLog(config.http.accessLog ? log : undefined, metrics),
    onRefused: (refusal) => core.refusals.add(refusal),
    onDownload: ({ repo, path, nodeId, size }, by, wasHeld) => {
      core.downloads.counted(repo, path, nodeId, by, Date.now());
      const remote = wasHeld ? remoteKeyOf(repo) : undefined;
      if (remote && repositories.cacheKeyOf(remote) === repo) core.remotes.traffic.saved(remote, size);
    },
    onBug: (error, { requestId }) => log.error({ err: error, requestId }, 'a request failed for a reason of our own'),
  });
  const listening = await server.start();
  const { host } = config.http;
  const shownHost = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  const origin = config.http.baseUrl ?? core.configuration.origin ?? `http://${shownHost}:${listening[0]}`;
  core.firstStart.start(
    (outcome) => log.info({ packageType: outcome.packageType }, tellOutcome(outcome, origin)),
    (error) => log.warn({ err: error }, 'upstreams could not be looked for'),
  );
  return {
    core,
    ports: listening,
    origin,
    generatedPassword: admin.generatedPassword,
    async stop() {
      await core.firstStart.stop();
      await server.stop(config.http.drainMs);
      await background.stop();
      await feed.stop();
      await core.authenticator.flush();
      await core.refusals.flush();
      await core.close();
    },
  };
}
