/**
 * What an administrator sets for the whole server beside repositories: layouts, property sets, proxies and the like.
 * One document, changed as a whole and with a revision, so that of two changes at once one is told to try again.
 */
import { AppError } from '../core/errors.ts';
import { compileLayout, type Layout, type LayoutDefinition } from '../core/layouts.ts';
import { type Database, lockScope, type Tx } from '../db/database.ts';
import { getSetting, updateSetting } from '../db/settings.ts';
import type { EventLog } from '../events/event-log.ts';
import { shownSection } from './configuration-merge.ts';

export interface ConfigurationDocument {
  readonly revision: number;
  /** Sections of the configuration descriptor by name, as they were set. */
  readonly sections: Readonly<Record<string, unknown>>;
}

export interface SystemConfigurationDeps {
  readonly database: Database;
  readonly events: EventLog;
  /** What the configuration file says about sections, in force where nothing was set here. */
  readonly defaults?: Readonly<Record<string, unknown>>;
}

/** The setting, and the subject of the event that tells of a change. */
export const CONFIGURATION = 'configuration';
const EMPTY: ConfigurationDocument = { revision: 0, sections: {} };

export class SystemConfiguration {
  readonly #deps: SystemConfigurationDeps;
  #document = EMPTY;
  #layouts: ReadonlyMap<string, Layout> = new Map();

  constructor(deps: SystemConfigurationDeps) {
    this.#deps = deps;
  }

  /** Reads it again; called at start and whenever it was changed. */
  async reload(): Promise<void> {
    const document = await this.#deps.database.read((db) => readConfiguration(db));
    // What a reading that began earlier has found must not undo a later one.
    if (document.revision < this.#document.revision) return;
    this.#document = document;
    this.#layouts = layoutsOf(document);
  }

  get document(): ConfigurationDocument {
    return this.#document;
  }

  /** A section as it is in force. */
  section(name: string): unknown {
    return shownSection(name, this.#document.sections, this.#deps.defaults);
  }

  /** Scheme, host and port that administrators gave the server. */
  get origin(): string | undefined {
    const url = this.section('urlBase');
    return typeof url === 'string' ? new URL(url).origin : undefined;
  }

  /** The layouts that administrators made. */
  get layouts(): ReadonlyMap<string, Layout> {
    return this.#layouts;
  }

  /**
   * Stores what `change` makes of the document, with what `along` does in the same transaction. `conflict` when
   * somebody else changed it since `expected`.
   */
  async change(
    by: string,
    change: (sections: ConfigurationDocument['sections']) => ConfigurationDocument['sections'],
    options: { readonly expected?: number; along?(tx: Tx, document: ConfigurationDocument): Promise<void> } = {},
  ): Promise<ConfigurationDocument> {
    const { database, events } = this.#deps;
    const stored = await database.transaction(async (tx) => {
      await lockScope(tx, CONFIGURATION);
      const before = await readConfiguration(tx);
      if (options.expected !== undefined && options.expected !== before.revision) {
        throw new AppError('conflict', 'Could not merge and save new descriptor: it was changed meanwhile. Try again.');
      }
      const document = { revision: before.revision + 1, sections: change(before.sections) };
      layoutsOf(document);
      await updateSetting(tx, CONFIGURATION, JSON.stringify(document));
      await options.along?.(tx, document);
      const changed = sectionsChanged(before.sections, document.sections);
      await events.append(
        tx,
        [{ type: 'setting.changed', subject: CONFIGURATION, changes: { sections: changed } }],
        by,
      );
      return document;
    });
    await this.reload();
    return stored;
  }
}

/** Whether administrators have set the whole server offline, so that no upstream is asked. */
export function isOfflineMode(configuration: Pick<SystemConfiguration, 'section'>): boolean {
  return configuration.section('offlineMode') === true;
}

/** The document as whoever reads it sees it. */
export async function readConfiguration(db: Parameters<typeof getSetting>[0]): Promise<ConfigurationDocument> {
  const text = await getSetting(db, CONFIGURATION);
  return text === undefined ? EMPTY : (JSON.parse(text) as ConfigurationDocument);
}

/** The layouts of a document, compiled. */
export function layoutsOf({ sections }: ConfigurationDocument): ReadonlyMap<string, Layout> {
  const layouts = (sections['repoLayouts'] ?? {}) as Readonly<Record<string, Omit<LayoutDefinition, 'name'>>>;
  return new Map(Object.entries(layouts).map(([name, layout]) => [name, compileLayout({ ...layout, name })]));
}

function sectionsChanged(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
}
