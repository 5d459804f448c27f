/** Manifests that are valid but for one change, as the tables of hostile manifests push them. */
import type { Attack, Row } from '../../support/hostile.ts';
import { ImageClient, makeImage, render, sha256, TYPES } from '../../support/oci.ts';
import type { World } from '../../support/wire-world.ts';

export const BASE = '/v2/docker-local/hostile';
export type Document = Record<string, unknown>;
export const MIB = 1024 * 1024;

export const put = (
  body: Buffer | string,
  type: string | undefined = TYPES.manifest,
  reference = 'latest',
): Attack => ({
  method: 'PUT',
  path: `${BASE}/manifests/${reference}`,
  options: { body, ...(type !== undefined && { headers: { 'content-type': type } }) },
});

/** A manifest whose blobs are there. */
export async function valid({ admin }: World, options: Parameters<typeof makeImage>[0] = {}): Promise<Document> {
  const image = makeImage(options);
  const client = new ImageClient(admin, BASE);
  for (const blob of [image.config, ...image.layers]) await client.pushBlob(blob);
  return JSON.parse(image.bytes.toString()) as Document;
}

/** Valid but for one change, each pushed. */
export const changed =
  (...changes: readonly ((document: Document) => unknown)[]): Row['attacks'] =>
  async (world) => {
    const document = await valid(world);
    return changes.map((change) => {
      const made = change(structuredClone(document));
      return put(Buffer.isBuffer(made) || typeof made === 'string' ? made : render(made));
    });
  };

export const withLayer = (fields: Document) => (document: Document) => ({
  ...document,
  layers: [{ ...(document['layers'] as Document[])[0], ...fields }],
});
export const having = (fields: Document) => (document: Document) => ({ ...document, ...fields });
export const without = (name: string) => (document: Document) => {
  const { [name]: _, ...rest } = document;
  return rest;
};
/** The text of the document with its first `"name":` replaced. */
export const respelled = (name: string, by: string) => (document: Document) =>
  JSON.stringify(document).replace(`"${name}":`, by);

export const refused = (id: string, name: string, attacks: Row['attacks'], more: Partial<Row> = {}): Row => ({
  id,
  name,
  attacks,
  status: [400],
  codes: ['MANIFEST_INVALID'],
  shape: 'oci',
  ...more,
});
export const missing = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ mediaType: 'a/b', digest: sha256(`missing ${i}`), size: 1 }));
