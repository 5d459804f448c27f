/** Everything that holds state, put together: what the server and the commands work with. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { AccountDeps } from './auth/accounts.ts';
import { Authenticator } from './auth/authenticator.ts';
import { Passwords } from './auth/passwords.ts';
import { PermissionIndex } from './auth/permission-index.ts';
import { Principals } from './auth/principals.ts';
import { openSecrets, parseMasterKey } from './auth/secrets.ts';
import { SigningKeys } from './auth/signing-keys.ts';
import { LoginThrottle } from './auth/throttle.ts';
import { openInstanceId, Tokens } from './auth/tokens.ts';
import { UploadTokens } from './auth/upload-tokens.ts';
import type { BlobDriver } from './blobs/driver.ts';
import { openFsDriver } from './blobs/drivers/fs.ts';
import { openS3Driver } from './blobs/drivers/s3.ts';
import { MultipartUploads } from './blobs/multipart.ts';
import { StorageQuota } from './blobs/quota.ts';
import { BlobStore } from './blobs/store.ts';
import { UploadSessions } from './blobs/uploads.ts';
import type { Config } from './config/load.ts';
import { openMachine } from './config/machine.ts';
import type { RepoKey } from './core/ids.ts';
import type { Machine } from './core/public-upstream.ts';
import type { Database } from './db/database.ts';
import { openSqlite } from './db/dialects/sqlite.ts';
import { migrate } from './db/migrate.ts';
import { EventLog } from './events/event-log.ts';
import { RefusalLog } from './events/refusal-log.ts';
import { defineFormats } from './formats/index.ts';
import { Administration } from './repositories/administration.ts';
import { ClientCertificates } from './repositories/certificates.ts';
import { RepositoryDirectory } from './repositories/directory.ts';
import { DownloadStatistics } from './repositories/download-statistics.ts';
import { FirstStart } from './repositories/first-start.ts';
import { FolderArchives } from './repositories/folder-archive.ts';
import { folderArchiveLimits, folderDownloadOf } from './repositories/folder-download-settings.ts';
import { KeyPairs } from './repositories/key-pairs.ts';
import { TreeOperations } from './repositories/operations.ts';
import { openPackages } from './repositories/packages/packages.ts';
import { ReadOnly } from './repositories/read-only.ts';
import { endpointOf } from './repositories/remote/endpoint.ts';
import { Remotes } from './repositories/remote/remotes.ts';
import { RemoteTraffic } from './repositories/remote/traffic.ts';
import { Retention } from './repositories/retention.ts';
import { SystemConfiguration } from './repositories/system-configuration.ts';
import { trashcanOf, trashSettings } from './repositories/trash-settings.ts';
import { Veils } from './repositories/veils.ts';
import { ShadowingLog } from './repositories/virtual/shadowing.ts';
import { Searches } from './search/searches.ts';
import { Upstreams, type UpstreamsOptions } from './upstream/upstreams.ts';

/** Where messages go; a pino logger fits. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** How the world outside is reached; tests put one of their own in its place. */
export interface Outside extends Pick<UpstreamsOptions, 'resolve' | 'dial' | 'authorities'> {
  /** The machine that is asked for upstreams at the first start. */
  readonly openMachine?: (signal: AbortSignal) => Machine;
}

/** Everything that holds state, without a server in front: what commands work with. */
export async function openCore(config: Config, log: Log, outside: Outside = {}) {
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
  const quota = new StorageQuota({ database, limitBytes: config.storage.quotaBytes });
  const blobs = new BlobStore({
    database,
    driver,
    quota,
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
    defaults: {
      folderDownloadConfig: folderDownloadOf(config.archives.download),
      trashcanConfig: trashcanOf(config.trash),
    },
  });
  const readOnly = new ReadOnly({ database, events });
  const formats = defineFormats({ docker: { ...config.docker, graceMs: config.sweep.graceMs } });
  const certificates = new ClientCertificates({ configuration, secrets });
  const traffic = new RemoteTraffic();
  const upstreams = new Upstreams({
    allowedAddresses: config.remotes.allowedAddresses,
    observe: (seen) => traffic.observed(seen),
    ...outside,
  });
  const remotes = new Remotes({
    traffic,
    database,
    upstreamOf: (row) => upstreams.of(endpointOf(row, { secrets, configuration, certificates })),
    warn: (fields, message) => log.warn(fields, message),
  });
  const retention = new Retention({ formats, readOnly, directory: () => repositories });
  const repositories: RepositoryDirectory = new RepositoryDirectory({
    veils,
    formats,
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
    shadowing: new ShadowingLog(database),
    globalRepo: config.repositories.globalRepo,
    remotes,
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
  const ownOrigins = config.http.baseUrl ? [new URL(config.http.baseUrl).origin] : [];
  const administration = new Administration({
    database,
    events,
    formats,
    repositories,
    accounts,
    secrets,
    configuration,
    readOnly,
    ownOrigins,
  });
  const firstStart = new FirstStart({
    database,
    events,
    formats,
    repositories,
    readOnly,
    upstreams: config.upstreams,
    ownOrigins,
    openMachine: outside.openMachine ?? ((signal) => openMachine({ env: process.env, signal })),
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
    quota,
    uploads,
    multiparts,
    uploadTokens: new UploadTokens(secrets),
    folderArchives: new FolderArchives(folderArchiveLimits(configuration)),
    permissions,
    repositories,
    packages: openPackages({ database, repositories, secrets }),
    searches,
    formats,
    accounts,
    secrets,
    instanceId,
    configuration,
    keyPairs: new KeyPairs({ configuration, secrets }),
    certificates,
    remotes,
    upstreams,
    readOnly,
    retention,
    administration,
    firstStart,
    refusals,
    veils,
    operations,
    downloads,
    trash: trashSettings(configuration),
    async close() {
      await downloads.flush();
      await passwords.stop();
      await uploads.stop();
      await remotes.stop();
      await upstreams.close();
      await driver.stop();
      await database.close();
    },
  };
}
export type Core = Awaited<ReturnType<typeof openCore>>;

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
    spoolFolder: join(dataDir, 'spool'),
    bucket: bucket ?? '',
    credentials:
      accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey: secretAccessKey.reveal() } : undefined,
  });
}
