/** Plain files under plain paths: the smallest format. */
import { hasControlName } from '../../core/control-names.ts';
import type { Format } from '../../core/format.ts';
import type { RepoPath } from '../../core/ids.ts';
import { setUpGeneric } from './setup.ts';

const SIDECAR = /^(.+)\.(sha256|sha1|md5)$/;

/** Serves these package types as plain files: the generic one, and those that no format of their own serves. */
export function defineGeneric(packageTypes: readonly string[]): Format {
  return {
    packageTypes,
    mounts: [],
    routes: [],
    plainPaths: true,
    setup: setUpGeneric,
    classify(path) {
      if (hasControlName(path)) return { kind: 'reserved' };
      const [, of, algorithm] = SIDECAR.exec(path) ?? [];
      if (of === undefined) return { kind: 'artifact', mutable: true };
      return { kind: 'checksum', of: of as RepoPath, algorithm: algorithm as 'sha256' | 'sha1' | 'md5' };
    },
  };
}
