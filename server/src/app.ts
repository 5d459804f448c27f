/** The composition root: the only file that knows every concrete class. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { Api } from './api/index.ts';
import { type AccountDeps, bootstrapAdmin } from './auth/accounts.ts';
import { Authenticator } from './auth/authenticator.ts';
import { Passwords } from './auth/passwords.ts';
import { PermissionIndex } from './auth/permissions.ts';
import { Principals } from './auth/principals.ts';
import { openSecrets, parseMasterKey } from './auth/secrets.ts';
import { SigningKeys } from './auth/signing-keys.ts';
import { LoginThrottle } from './auth/throttle.ts';
import { openInstanceId, Tokens } from './auth/tokens.ts';
import { UploadTokens } from './auth/upload-tokens.ts';
import { completeChecksums } from './blobs/complete-checksums.ts';
import type { BlobDriver } from './blobs/driver.ts';
import { openFsDriver } from './blobs/drivers/fs.ts';
import { openS3Driver } from './blobs/drivers/s3.ts';
import { MultipartUploads } from './blobs/multipart.ts';
import { BlobStore } from './blobs/store.ts';
import { UploadSessions } from './blobs/uploads.ts';
import { buildJobs, ordersOf } from './builds/jobs.ts';
import { relocateFileOf } from './builds/relocate-file.ts';
import { lockData } from './cli/server-lock.ts';
import { addressRanges } from './config/fields.ts';
import type { Config } from './config/load.ts';
import { AppError } from './core/errors.ts';
import type { RepoKey } from './core/ids.ts';
import type { Database, Tx } from './db/database.ts';
import { openSqlite } from './db/dialects/sqlite.ts';
import { migrate } from './db/migrate.ts';
import { EventLog } from './events/event-log.ts';
import { Feed } from './events/feed.ts';
import { RefusalLog } from './events/refusal-log.ts';
import { defineFormats } from './formats/index.ts';
import { ContentPlane } from './gateway/content/plane.ts';
import { Gateway } from './gateway/gateway.ts';
import { accessLog } from './http/access-log.ts';
import { Metrics } from './http/metrics.ts';
import { HttpServer } from './http/server.ts';
import type { JobContext, JobDefinition, Schedule } from './jobs/job.ts';
import { Queue } from './jobs/queue.ts';
import { Scheduler } from './jobs/scheduler.ts';
import { Worker } from './jobs/worker.ts';
import { COMPATIBLE_REVISION, COMPATIBLE_VERSION } from './lib/product.ts';
import { Administration } from './repositories/administration.ts';
import { assemblyJob } from './repositories/assembly-job.ts';
import { ClientCertificates } from './repositories/certificates.ts';
import { RepositoryDirectory } from './repositories/directory.ts';
import { DownloadStatistics } from './repositories/download-statistics.ts';
import { FolderArchives } from './repositories/folder-archive.ts';
import { folderArchiveLimits, folderDownloadOf } from './repositories/folder-download-settings.ts';
import { TreeOperations } from './repositories/operations.ts';
import { READ_ONLY, ReadOnly } from './repositories/read-only.ts';
import { sweepOnce } from './repositories/reclaim.ts';
import { Retention } from './repositories/retention.ts';
import { CONFIGURATION, SystemConfiguration } from './repositories/system-configuration.ts';
import { treeJobs } from './repositories/tree-jobs.ts';
import { Veils } from './repositories/veils.ts';
import { archiveConsumer, archiveJob } from './search/archive-index.ts';
import { Searches } from './search/searches.ts';

/** Where messages go; a pino logger fits. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Everything that holds state, without a server in front: what commands work with. */
export async function openCore(config: Config, log: Log) {
  const dataDir = resolve(config.data.dir);
  // It holds password hashes and keys: nobody but the server's own account has business there.
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const database = await openDatabase(config, dataDir, log);
  const migrated = await migrate(database);
  const driver = openDriver(config, dataDir);
  await driver.start();

  const events = new EventLog();
  const masterKey = config.security.masterKey;
  const secrets = await openSecrets(
    database,
    masterKey ? { key: parseMasterKey(masterKey.reveal()) } : { folder: dataDir },
  );
  const signingKeys = new SigningKeys({ database, secrets });
  const principals = new Principals({ database });
  const passwords = new Passwords();
  const throttle = new LoginThrottle({ database, limits: config.security.throttle });
  const instanceId = await openInstanceId(database);
  const tokens = new Tokens(
    { database, secrets, signingKeys, principals, instanceId },
    { registryTokenSeconds: config.docker.tokenSeconds },
  );
  const authenticator = new Authenticator({ database, principals, passwords, tokens, throttle });
  const blobs = new BlobStore({
    database,
    driver,
    inlineBytes: config.storage.inlineBytes,
    redirect: {
      enabled: config.storage.redirect,
      minBytes: config.storage.redirectMinBytes,
      ttlMs: config.storage.redirectTtlMs,
    },
  });
  const multiparts = new MultipartUploads(blobs, {
    ...config.uploads,
    requireWritable: (repo) => readOnly.requireWritable(repo),
  });
  const uploads = new UploadSessions(blobs, { maxPerPrincipal: config.uploads.maxPerPrincipal });
  let classOf: RepositoryDirectory['classOf'] = () => undefined;
  const permissions = new PermissionIndex(
    { database },
    { anonymousAccess: config.security.anonymousAccess, classOf: (repo: RepoKey) => classOf(repo) },
  );
  const veils = new Veils(database);
  const configuration = new SystemConfiguration({
    database,
    events,
    defaults: { folderDownloadConfig: folderDownloadOf(config.archives.download) },
  });
  const readOnly = new ReadOnly({ database, events });
  const formats = defineFormats({ docker: { ...config.docker, graceMs: config.sweep.graceMs } });
  const retention = new Retention({ formats, readOnly, directory: () => repositories });
  const repositories: RepositoryDirectory = new RepositoryDirectory({
    veils,
    database,
    blobs,
    uploads,
    events,
    permissions,
    reviewDelayMs: config.sweep.reviewDelayMs,
    access: { hideUnauthorized: config.security.hideUnauthorized },
    configuration,
    readOnly,
    retention,
  });
  classOf = (key) => repositories.classOf(key);
  const accounts: AccountDeps = {
    database,
    passwords,
    principals,
    permissions,
    tokens,
    throttle,
    events,
    passwordMinLength: config.security.passwordMinLength,
  };
  const operations = new TreeOperations({
    database,
    events,
    repositories,
    formats,
    blobs,
    principals,
    veils,
    reviewDelayMs: config.sweep.reviewDelayMs,
  });
  const downloads = new DownloadStatistics({ database, idOf: (repo) => repositories.idOf(repo) });
  const searches = new Searches({ database, repositories, blobs, limits: config.search });
  const refusals = new RefusalLog({ database });
  const administration = new Administration({
    database,
    events,
    formats,
    repositories,
    accounts,
    secrets,
    configuration,
    readOnly,
    ownOrigins: config.http.baseUrl ? [new URL(config.http.baseUrl).origin] : [],
  });
  return {
    config,
    dataDir,
    /** Names of the migrations that were missing and are applied now. */
    migrated,
    database,
    driver,
    events,
    passwords,
    principals,
    throttle,
    tokens,
    authenticator,
    blobs,
    uploads,
    multiparts,
    uploadTokens: new UploadTokens(secrets),
    folderArchives: new FolderArchives(folderArchiveLimits(configuration)),
    permissions,
    repositories,
    searches,
    formats,
    accounts,
    secrets,
    instanceId,
    configuration,
    certificates: new ClientCertificates({ configuration, secrets }),
    readOnly,
    retention,
    administration,
    refusals,
    veils,
    operations,
    downloads,
    trash: config.trash,
    async close() {
      await downloads.flush();
      await passwords.stop();
      await uploads.stop();
      await driver.stop();
      await database.close();
    },
  };
}
export type Core = Awaited<ReturnType<typeof openCore>>;

export interface RunningApp {
  readonly core: Core;
  readonly ports: readonly number[];
  /** Made up at the first start, when no other password was given. */
  readonly generatedPassword: string | undefined;
  stop(): Promise<void>;
}

/** Starts the server and its background work; the only one over its data folder, where the database is a file in it. */
export async function startApp(config: Config, log: Log): Promise<RunningApp> {
  const lock = await lockData(config, 'server');
  try {
    const app = await startUnlocked(config, log);
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

async function startUnlocked(config: Config, log: Log): Promise<RunningApp> {
  const core = await openCore(config, log);
  const { database, repositories, permissions, authenticator } = core;
  const admin = await bootstrapAdmin(core.accounts, { password: config.adminPassword?.reveal() });
  await core.administration.createSystemRepositories();
  await core.administration.createDefaults(config.bootstrap === 'default' ? ['docker', 'generic'] : []);

  const feed = new Feed({
    database,
    log: core.events,
    onError: (error) => log.warn({ err: error }, 'the event feed failed'),
  });
  const reloadSettings = async (subjects: readonly string[]) => {
    if (subjects.includes(READ_ONLY)) await core.readOnly.reload();
    if (!subjects.includes(CONFIGURATION)) return;
    await core.configuration.reload();
    await repositories.reload();
  };
  feed.onEvents((recorded) => {
    const settings = recorded.flatMap((event) => (event.type === 'setting.changed' ? event.subject : []));
    if (settings.length > 0) {
      void reloadSettings(settings).catch((error: unknown) => log.warn({ err: error }, 'settings could not be read'));
    }
    if (recorded.some(({ type }) => type.startsWith('repository.'))) {
      void repositories.reload().catch((error: unknown) => log.warn({ err: error }, 'repositories could not be read'));
    }
    if (recorded.some(({ type }) => /^(user|group|permission|token|repository)\./.test(type))) {
      core.principals.invalidate();
      permissions.invalidate();
    }
  });
  if (config.search.indexArchives) feed.consume(archiveConsumer());
  await feed.start();
  await core.configuration.reload();
  await core.readOnly.reload();
  await repositories.reload();
  await core.veils.load();
  await permissions.refresh();

  const metrics = new Metrics();
  const background = startBackground(core, log, metrics);
  const api = new Api({
    ...core,
    metrics,
    isDraining: () => server.draining,
    sweepNow: background.sweepNow,
    buildOrders: background.buildOrders,
    relocateFile: relocateFileOf(core),
    enqueueAssembly: background.enqueueAssembly,
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
      }),
      api,
      new ContentPlane({ ...core, archives: config.archives }),
    ],
    accessLog: accessLog(config.http.accessLog ? log : undefined, metrics),
    onRefused: (refusal) => core.refusals.add(refusal),
    onDownload: ({ repo, path, nodeId }, by) => core.downloads.counted(repo, path, nodeId, by, Date.now()),
    onBug: (error, { requestId }) => log.error({ err: error, requestId }, 'a request failed for a reason of our own'),
  });
  const listening = await server.start();
  return {
    core,
    ports: listening,
    generatedPassword: admin.generatedPassword,
    async stop() {
      await server.stop(config.http.drainMs);
      await background.stop();
      await feed.stop();
      await core.authenticator.flush();
      await core.refusals.flush();
      await core.close();
    },
  };
}

async function openDatabase(config: Config, dataDir: string, log: Log): Promise<Database> {
  const { url, poolSize } = config.database;
  if (!url) return openSqlite(join(dataDir, 'metadata.db'));
  // Who uses SQLite does not pay for the client of PostgreSQL.
  const { openPostgres } = await import('./db/dialects/postgres.ts');
  return openPostgres({
    url: url.reveal(),
    poolSize,
    onError: (error) => log.warn({ err: error }, 'a database connection was lost'),
  });
}

function openDriver(config: Config, dataDir: string): BlobDriver {
  const { storage } = config;
  if (storage.driver === 'fs') {
    return openFsDriver({ root: join(dataDir, 'blobs'), freeSpaceFloorBytes: storage.freeSpaceFloorBytes });
  }
  const { bucket, accessKeyId, secretAccessKey } = storage.s3;
  return openS3Driver({
    ...storage.s3,
    bucket: bucket ?? '',
    credentials:
      accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey: secretAccessKey.reveal() } : undefined,
  });
}

const NO_PAYLOAD = z.strictObject({});
const CLOSE_IDLE_UPLOADS_MS = 60_000;
/** Pushes come in bursts: the checksums that only the REST API asks for are completed when a burst is over. */
const CHECKSUM_DELAY_MS = 10 * 60_000;

/** Jobs, schedules and upkeep. */
function startBackground(core: Core, log: Log, metrics: Metrics) {
  const { config, database } = core;
  const reclaimed = metrics.counter('sweep_reclaimed_bytes_total', 'Bytes of blobs that nothing named any more');
  const proceed = (context: JobContext) => async () => {
    context.signal.throwIfAborted();
    await context.heartbeat();
  };
  const sweepJob: JobDefinition<object> = {
    name: 'sweep',
    payload: NO_PAYLOAD,
    maxAttempts: 5,
    leaseMs: 60_000,
    dedupe: () => 'sweep',
    async run(_payload, context) {
      // A server that stands still keeps its bytes too: somebody may be copying them.
      if (core.readOnly.of()) return;
      const result = await sweepOnce(core, async (tx) => (tx ? context.requireLease(tx) : proceed(context)()));
      reclaimed(result.bytes);
      if (result.condemned > 0 || result.removed > 0) log.info(result, 'reclaimed space');
    },
  };
  const upkeepJob: JobDefinition<object> = {
    name: 'upkeep',
    payload: NO_PAYLOAD,
    maxAttempts: 3,
    leaseMs: 60_000,
    dedupe: () => 'upkeep',
    async run() {
      await core.tokens.purgeExpired(Date.now());
      await core.throttle.purge();
      await core.refusals.purge();
    },
  };
  const checksumJob: JobDefinition<object> = {
    name: 'checksums',
    payload: NO_PAYLOAD,
    maxAttempts: 3,
    leaseMs: 5 * 60_000,
    dedupe: () => 'checksums',
    run: (_payload, context) =>
      completeChecksums(core.blobs, { olderThanMs: CHECKSUM_DELAY_MS, proceed: proceed(context) }),
  };
  const ofBuilds = buildJobs(core);
  const assembling = assemblyJob(core.multiparts, proceed);
  const ofTree = treeJobs(core.operations, { retentionDays: config.trash.retentionDays, proceed });
  const queue = new Queue([
    sweepJob,
    upkeepJob,
    checksumJob,
    ...ofTree.jobs,
    ofBuilds.rename as JobDefinition<unknown>,
    ofBuilds.discard as JobDefinition<unknown>,
    assembling as JobDefinition<unknown>,
    core.retention.job as JobDefinition<unknown>,
    archiveJob(core),
  ]);
  core.retention.start(queue);
  ofTree.attach(queue);
  const schedules: Schedule[] = [
    { name: 'sweep', everyMs: config.sweep.intervalMs, job: sweepJob as JobDefinition<unknown>, payload: {} },
    { name: 'upkeep', everyMs: 10 * 60_000, job: upkeepJob as JobDefinition<unknown>, payload: {} },
    { name: 'checksums', everyMs: CHECKSUM_DELAY_MS, job: checksumJob as JobDefinition<unknown>, payload: {} },
    ...ofTree.schedules,
  ];
  const worker = new Worker({ database, queue, log }, { concurrency: config.jobs.workers, pollMs: config.jobs.pollMs });
  const scheduler = new Scheduler({ database, queue, log }, schedules, {
    pollMs: Math.min(config.jobs.pollMs, config.sweep.intervalMs),
  });
  worker.start();
  const scheduling = scheduler.start();
  scheduling.catch((error: unknown) => log.error({ err: error }, 'the scheduler could not start'));
  const timer = setInterval(() => {
    void upkeep().catch((error: unknown) => log.warn({ err: error }, 'upkeep failed'));
  }, 1000);
  timer.unref();
  async function upkeep() {
    await database.dialect.maintain?.();
    await core.uploads.closeIdle(CLOSE_IDLE_UPLOADS_MS);
    await core.authenticator.flush();
    await core.tokens.flushLastUsed();
    await core.refusals.flush();
    await core.downloads.flush();
    if (!database.dialect.exclusive) await core.veils.load();
  }
  return {
    /** Has the next sweep happen now. */
    sweepNow: () => database.transaction((tx) => queue.enqueue(tx, sweepJob, {})),
    buildOrders: ordersOf({ database, queue }, ofBuilds),
    /** Has the parts of an upload put together. */
    enqueueAssembly: (tx: Tx, id: string) => queue.enqueue(tx, assembling, { id }),
    ofTree,
    async stop() {
      clearInterval(timer);
      await scheduling.catch(() => undefined);
      await scheduler.stop();
      await worker.stop({ drainMs: 5000 });
    },
  };
}
