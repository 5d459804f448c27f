/** Compares a server with what the oracle says must be readable: everything that is there, and nothing else. */
import { BLOBS, MANIFESTS, manifestOf, TAGS } from './model-catalog.ts';
import type { Operation } from './model-operations.ts';
import { Oracle } from './model-oracle.ts';
import { collect, differencesAtRest } from './model-upkeep.ts';
import type { ModelImages, ModelWorld } from './model-world.ts';

export class Mismatch extends Error {
  override readonly name = 'Mismatch';
}

/** Runs the operations one after another; throws a Mismatch where server and oracle disagree. */
export async function runSequence(world: ModelWorld, sequence: readonly Operation[]): Promise<void> {
  const images = world.images();
  const oracle = new Oracle();
  for (const [i, operation] of sequence.entries()) {
    const where = `operation ${i + 1}, ${JSON.stringify(operation)}`;
    const actual = await images.perform(operation).catch((error: unknown) => String(error));
    const expected = oracle.apply(operation);
    if (actual !== expected) throw new Mismatch(`${where}: answered ${actual}, expected ${expected}`);
    if (operation.do === 'check') await compare(images, oracle, where);
  }
  await collect(world.app.core);
  oracle.apply({ do: 'end all leases' });
  await compare(images, oracle, 'the end');
  refuse(await differencesAtRest(world.app.core, oracle.held()), 'the end');
  await removeAll(images, oracle);
  await collect(world.app.core);
  refuse(await differencesAtRest(world.app.core, new Set()), 'the removal of everything');
}

async function compare(images: ModelImages, oracle: Oracle, where: string): Promise<void> {
  const differences: string[] = [];
  const expect = async (image: number, path: string, bytes: Buffer | undefined, accept?: string) => {
    const answer = await images.get(image, path, accept);
    if (answer.status !== (bytes ? 200 : 404)) {
      differences.push(`I1: ${images.names[image]}/${path} was answered ${answer.status}, not ${bytes ? 200 : 404}`);
    } else if (bytes && !answer.body.equals(bytes)) {
      differences.push(`I2: ${images.names[image]}/${path} has other bytes`);
    }
  };
  for (const [i, { folders }] of oracle.images.entries()) {
    for (const tag of TAGS) {
      const lead = folders.get(tag);
      const spec = lead === undefined ? undefined : manifestOf(lead);
      await expect(i, `manifests/${tag}`, spec?.manifest, spec?.mediaType);
    }
    for (const { digest, manifest, mediaType } of Object.values(MANIFESTS)) {
      await expect(i, `manifests/${digest}`, oracle.isKept(i, digest) ? manifest : undefined, mediaType);
    }
    for (const { digest, bytes } of BLOBS.values()) {
      await expect(i, `blobs/${digest}`, oracle.holds(i, digest) ? bytes : undefined);
    }
  }
  refuse(differences, where);
}

async function removeAll(images: ModelImages, oracle: Oracle): Promise<void> {
  for (const image of [0, 1] as const) {
    // An index goes before what it names.
    for (const [manifest, { digest }] of Object.entries(MANIFESTS).toReversed()) {
      if (!oracle.isKept(image, digest)) continue;
      const operation = { do: 'delete manifest', image, manifest } as const;
      const [actual, expected] = [await images.perform(operation), oracle.apply(operation)];
      if (actual !== expected) {
        throw new Mismatch(`${manifest} could not be deleted: ${actual}`);
      }
    }
  }
}

function refuse(differences: readonly string[], where: string): void {
  if (differences.length > 0) throw new Mismatch(`${where}: ${differences.join('; ')}`);
}
