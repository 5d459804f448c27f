/** What a row says of a file of a release; where the file lies says the rest. */
import type { PomFacts } from './pom.ts';

export interface RowMetadata {
  /** Of a POM: what it says. */
  readonly pom?: PomFacts;
  /** Of a plugin: its prefix where it is known, and whether the plugin itself says so. */
  readonly plugin?: { readonly prefix?: string; readonly name?: string; readonly own?: true };
}
