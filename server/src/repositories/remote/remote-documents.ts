/** Documents of a format as a remote repository has them: read from its upstream's, or made of what is kept. */
import type { HeldDocument, OpaqueDoc } from '../../core/document.ts';
import { AppError, isAppError } from '../../core/errors.ts';
import type { Format } from '../../core/format.ts';
import type { RepoKey } from '../../core/ids.ts';
import type { DocumentFetch, RemoteFacts } from '../../core/remote.ts';
import { Lru } from '../../lib/lru.ts';
import type { Access } from '../leaf.ts';
import type { LocalRepository } from '../local.ts';
import type { UpstreamDocuments } from './upstream-documents.ts';

export interface RemoteDocumentsDeps {
  readonly id: number;
  readonly key: RepoKey;
  readonly local: LocalRepository;
  readonly documents: UpstreamDocuments;
  readonly format: Format | undefined;
  readonly facts: RemoteFacts | undefined;
}

const MAX_FETCHES = 2000;

export class RemoteDocuments {
  readonly #deps: RemoteDocumentsDeps;
  /** How documents are asked for that were wanted lately: each is the same every time. */
  readonly #fetches = new Lru<string, { readonly fetch: DocumentFetch | undefined }>({ maxEntries: MAX_FETCHES });

  constructor(deps: RemoteDocumentsDeps) {
    this.#deps = deps;
  }

  async get(kind: string, name: string, access: Access): Promise<HeldDocument | undefined> {
    const { id, local, documents, format, facts } = this.#deps;
    const definition = format?.documents?.[kind];
    const fetch =
      facts && definition?.fetch && this.#fetchOf(`${kind}\n${name}`, () => definition.fetch?.(name, facts));
    const parse = definition?.parse?.bind(definition);
    if (!definition || !fetch || !parse || !facts) return local.document(kind, name);
    const base = fetch.ask.link ?? facts.url;
    const found = await documents.find(fetch, access, (bytes, { mediaType }) =>
      this.#parsed(async () => parse(bytes, { name, base, mediaType, settings: facts.settings })),
    );
    if (!found) return undefined;
    const { asset, isStale, read } = found;
    return {
      revision: `${id}.${asset.sha256.slice(0, 32)}${fetch.variant ?? ''}`,
      modifiedAt: asset.modifiedAt,
      partial: isStale,
      read,
    };
  }

  #fetchOf(key: string, make: () => DocumentFetch | undefined): DocumentFetch | undefined {
    const known = this.#fetches.get(key) ?? { fetch: make() };
    this.#fetches.set(key, known);
    return known.fetch;
  }

  /** What cannot be read is the upstream's fault. */
  async #parsed(parse: () => Promise<OpaqueDoc>): Promise<OpaqueDoc> {
    try {
      return await parse();
    } catch (error) {
      if (!isAppError(error, 'invalid')) throw error;
      throw new AppError('upstream_failed', `From the upstream of "${this.#deps.key}": ${error.message}`);
    }
  }
}
