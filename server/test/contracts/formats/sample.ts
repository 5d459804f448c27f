/** What a package format is tried with in every class of repository. */
import type { Caller } from '../../support/test-app.ts';

/** A repository on some server, as one caller reaches it. */
export interface Place {
  readonly caller: Caller;
  /** Scheme, host and port. */
  readonly origin: string;
  readonly key: string;
}

export interface FormatSample {
  readonly packageType: string;
  /** The address under which a remote repository reaches a repository on another server. */
  upstreamUrl(place: Omit<Place, 'caller'>): string;
  /** Puts the packages of the sample into a local repository, or into a virtual one that has one to deploy to. */
  publish(place: Place): Promise<void>;
  /**
   * What clients read, and what must be the same of it wherever it comes from: no host, no key of a repository, no time
   * of a request is in what is returned.
   */
  readonly reads: readonly { readonly name: string; read(place: Place): Promise<unknown> }[];
}
