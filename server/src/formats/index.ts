/** The list of formats: the only line edited to add one. */
import type { Format } from '../core/format.ts';
import { PACKAGE_TYPES } from '../core/package-types.ts';
import { type DockerSettings, defineDocker } from './docker/index.ts';
import { defineGeneric } from './generic/index.ts';
import { defineHelm } from './helm/index.ts';
import { defineMaven } from './maven/index.ts';
import { defineNpm } from './npm/index.ts';
import { definePypi } from './pypi/index.ts';

export interface FormatSettings {
  readonly docker: DockerSettings;
}

export function defineFormats(settings: FormatSettings): readonly Format[] {
  const own = [defineDocker(settings.docker), defineMaven(), defineNpm(), definePypi(), defineHelm()];
  const served = new Set(own.flatMap(({ packageTypes }) => packageTypes));
  const plain = PACKAGE_TYPES.map(({ name }) => name).filter((name) => !served.has(name));
  return [defineGeneric(plain), ...own];
}
