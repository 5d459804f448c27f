/** Labels from an image's configuration, which users search and clean up by. */
import { readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import type { Repository } from '../../core/repository.ts';
import { parseJson } from '../../lib/json.ts';
import type { Manifest } from './manifest.ts';

/** A configuration beyond this is somebody else's format, or an attack. */
const MAX_CONFIG_BYTES = 8 * 1024 * 1024;
const MAX_DEPTH = 100;

/** The labels; none when the configuration is missing, is not JSON, or may not be read by the caller. */
export async function readLabels(
  repo: Repository,
  image: string,
  manifest: Manifest,
): Promise<Readonly<Record<string, string>>> {
  if (manifest.kind !== 'image' || !manifest.config) return {};
  const config = await find(repo, image, manifest.config);
  if (!config || config.size > MAX_CONFIG_BYTES) return {};
  const bytes = await readAll(await config.content.open(), { limit: MAX_CONFIG_BYTES, what: 'configuration' });
  const parsed = parseJson(bytes, { maxDepth: MAX_DEPTH });
  if ('problem' in parsed) return {};
  const labels =
    child(child(parsed.value, 'config'), 'Labels') ?? child(child(parsed.value, 'container_config'), 'Labels');
  if (typeof labels !== 'object' || labels === null) return {};
  return Object.fromEntries(
    Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

async function find(repo: Repository, image: string, digest: NonNullable<Manifest['config']>) {
  try {
    return await repo.find(image, digest);
  } catch (error) {
    if (error instanceof AppError) return undefined;
    throw error;
  }
}

function child(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}
