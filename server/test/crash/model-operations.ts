/** What a model run can do: plain values, so that a sequence can be printed, cut down and run again. */
import { BLOB_DIGESTS, MANIFEST_NAMES, TAGS } from './model-catalog.ts';
import type { UploadMode } from './registry-client.ts';
import type { Seeded } from './seeded.ts';

/** One of the two images. */
type Side = 0 | 1;

export type Operation =
  | { readonly do: 'upload'; readonly image: Side; readonly blob: string; readonly mode: UploadMode }
  | { readonly do: 'begin upload'; readonly image: Side; readonly blob: string }
  /** Of the uploads under way, the one of this number. */
  | { readonly do: 'finish upload'; readonly nth: number }
  /** From the other image. */
  | { readonly do: 'mount' | 'head' | 'delete blob'; readonly image: Side; readonly blob: string }
  /** As clients do: asks for everything, uploads what is missing, then puts the manifest. */
  | { readonly do: 'push' | 'put'; readonly image: Side; readonly manifest: string; readonly tag: string | undefined }
  | { readonly do: 'retag'; readonly image: Side; readonly from: string; readonly tag: string }
  | { readonly do: 'untag'; readonly image: Side; readonly tag: string }
  | { readonly do: 'delete manifest'; readonly image: Side; readonly manifest: string }
  | { readonly do: Upkeep };

export type Upkeep =
  | 'condemn'
  | 'empty trash'
  | 'let time pass'
  | 'end old leases'
  | 'end all leases'
  | 'end uploads'
  | 'restart'
  | 'check';

type Kind = Operation['do'];
const WEIGHTS: Readonly<Record<Kind, number>> = {
  upload: 10,
  'begin upload': 3,
  'finish upload': 4,
  mount: 8,
  head: 12,
  'delete blob': 5,
  push: 14,
  put: 10,
  retag: 6,
  untag: 6,
  'delete manifest': 10,
  condemn: 12,
  'empty trash': 8,
  'let time pass': 22,
  'end old leases': 10,
  'end all leases': 2,
  'end uploads': 2,
  restart: 0.25,
  check: 2,
};
const MODES: readonly UploadMode[] = ['whole', 'two-steps', 'chunks'];

export function randomOperation(random: Seeded, weights: Partial<Record<Kind, number>> = {}): Operation {
  const kind = pickWeighted(random, { ...WEIGHTS, ...weights });
  const image: Side = random.chance(0.5) ? 0 : 1;
  const blob = random.pick(BLOB_DIGESTS);
  const tag = random.pick(TAGS);
  const manifest = random.pick(MANIFEST_NAMES);
  switch (kind) {
    case 'upload':
      return { do: kind, image, blob, mode: random.pick(MODES) };
    case 'begin upload':
    case 'mount':
    case 'head':
    case 'delete blob':
      return { do: kind, image, blob };
    case 'finish upload':
      return { do: kind, nth: random.int(0, 5) };
    case 'push':
    case 'put':
      return { do: kind, image, manifest, tag: random.chance(0.7) ? tag : undefined };
    case 'retag':
      return { do: kind, image, from: random.pick(TAGS), tag };
    case 'untag':
      return { do: kind, image, tag };
    case 'delete manifest':
      return { do: kind, image, manifest };
    default:
      return { do: kind };
  }
}

export function randomSequence(random: Seeded): Operation[] {
  return Array.from({ length: random.int(10, 61) }, () => randomOperation(random));
}

function pickWeighted(random: Seeded, weights: Readonly<Record<Kind, number>>): Kind {
  const entries = Object.entries(weights) as [Kind, number][];
  let left = random.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [kind, weight] of entries) {
    left -= weight;
    if (left < 0) return kind;
  }
  return 'check';
}

/** Leaves out pieces, large ones first, as long as what is left still fails. */
export async function shrink(
  sequence: readonly Operation[],
  fails: (shorter: readonly Operation[]) => Promise<boolean>,
): Promise<readonly Operation[]> {
  let shortest = sequence;
  for (let size = Math.ceil(shortest.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let start = 0; start < shortest.length; ) {
      const shorter = shortest.toSpliced(start, size);
      if (await fails(shorter)) shortest = shorter;
      else start += size;
    }
  }
  return shortest;
}
