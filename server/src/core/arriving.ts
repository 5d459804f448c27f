/** Files on their way from an upstream. */
import type { Arriving, Asset } from './repository.ts';

/** The file once all of it is here, for what has to look into it. */
export function atRest(file: Asset | Arriving): Promise<Asset> | Asset {
  return 'arriving' in file ? file.settled() : file;
}
