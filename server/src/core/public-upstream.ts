/** Where the clients of a format fetch from when nobody tells them another place. */

/** Settings of a remote repository that say where its upstream is. */
export type UpstreamSettings = Readonly<Record<string, string>> & { readonly url: string };

export interface PublicUpstream {
  /** The address, where it is the same on every machine. */
  readonly address?: string;
  /** Settings for an address, written as clients of the format take it; without it, the address is the `url`. */
  settingsFor?(address: string): UpstreamSettings;
  /** What the client on this machine is set to, else what it has built in; undefined where it does not say. */
  find?(machine: Machine): Promise<UpstreamSettings | undefined>;
}

/** The machine the server runs on, as far as it is asked what its package managers are set to. */
export interface Machine {
  /** The Node that runs the server. */
  readonly node: string;
  /** The folder of the account that runs the server. */
  readonly home: string;
  /** What the environment says, without what is meant for the server. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where a program of the search path lies, its links followed; undefined when there is none. */
  locate(program: string): Promise<string | undefined>;
  /** What a program says on its standard output; undefined when it is not there, fails, or takes too long. */
  run(program: string, args: readonly string[]): Promise<string | undefined>;
  /** A file; undefined when it cannot be read or is larger. */
  read(path: string, maxBytes: number): Promise<Buffer | undefined>;
  /** Names of what a folder holds; none when it cannot be read. */
  list(folder: string): Promise<readonly string[]>;
}

const MAX_ADDRESS = 2000;

/**
 * The address of a server as it is kept: without an end that says nothing, and without credentials, since those of one
 * person must not serve all. Undefined for everything that is no address of the web.
 */
export function upstreamAddress(text: string): string | undefined {
  const url = text.length > MAX_ADDRESS ? null : URL.parse(text.trim());
  if (!url || !/^https?:$/.test(url.protocol) || url.hostname === '') return undefined;
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}
