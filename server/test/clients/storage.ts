/** What the server keeps its rows and its blobs in. */
export const storageNames = ['sqlite-fs', 'postgres-s3'] as const;
export type StorageName = (typeof storageNames)[number];

export interface Storage extends AsyncDisposable {
  /** The settings the server is started with. */
  readonly env: Readonly<Record<string, string>>;
}

export function parseStorageNames(text: string | undefined): readonly StorageName[] {
  return (text ?? 'sqlite-fs').split(',').map((name) => {
    const known = storageNames.find((each) => each === name.trim());
    if (known === undefined) throw new Error(`Storage "${name}" is unknown: ${storageNames.join(' or ')}.`);
    return known;
  });
}

/** Starts the services a storage setting needs. SQLite and files need none. */
export async function openStorage(name: StorageName): Promise<Storage> {
  switch (name) {
    case 'sqlite-fs':
      return { env: {}, [Symbol.asyncDispose]: async () => undefined };
    case 'postgres-s3':
      return await openServices();
  }
}

/** The support modules start a database and an object store, so they are loaded only when asked for. */
async function openServices(): Promise<Storage> {
  const { startPostgres } = await import('../support/postgres.ts');
  const { startS3 } = await import('../support/s3.ts');
  await using cleanup = new AsyncDisposableStack();
  const postgres = cleanup.adopt(await startPostgres(), async (service) => await service.stop());
  const s3 = cleanup.adopt(await startS3(), async (service) => await service.stop());
  const url = await postgres.createDatabase();
  const bucket = await s3.createBucket();
  const owned = cleanup.move();
  return {
    env: {
      ENTREPOT_DATABASE__URL: url,
      ENTREPOT_STORAGE__DRIVER: 's3',
      ENTREPOT_STORAGE__S3__ENDPOINT: s3.endpoint,
      ENTREPOT_STORAGE__S3__REGION: s3.region,
      ENTREPOT_STORAGE__S3__BUCKET: bucket,
      ENTREPOT_STORAGE__S3__ACCESS_KEY_ID: s3.accessKeyId,
      ENTREPOT_STORAGE__S3__SECRET_ACCESS_KEY: s3.secretAccessKey,
    },
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  };
}
