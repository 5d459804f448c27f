/** The list of formats: the only line edited to add one. */
import type { Format } from '../core/format.ts';
import { type DockerSettings, defineDocker } from './docker/index.ts';
import { defineGeneric } from './generic/index.ts';

export interface FormatSettings {
  readonly docker: DockerSettings;
}

export function defineFormats(settings: FormatSettings): readonly Format[] {
  return [defineGeneric(), defineDocker(settings.docker)];
}
