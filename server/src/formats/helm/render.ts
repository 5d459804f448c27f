/**
 * The index as clients get it. It is JSON, which is YAML too and which they read faster. Each group of charts is rendered
 * and compressed once; an index is those pieces behind one another.
 */
import { Piece, type RenderedBody } from '../../lib/rendered.ts';
import { Spell } from '../../lib/spell.ts';
import type { ChartGroup, ChartIndex } from './chart-index.ts';

export const INDEX_TYPE = 'application/x-yaml';

const pieces = new WeakMap<ChartGroup, Piece>();
const COMMA = new Piece(',\n');

function rendered(group: ChartGroup): Piece {
  let piece = pieces.get(group);
  if (!piece) {
    piece = new Piece(textOf(group));
    pieces.set(group, piece);
  }
  return piece;
}

function textOf({ charts }: ChartGroup): string {
  const texts = charts.map(
    ({ name, entries }) => `${JSON.stringify(name)}:[\n${entries.map(({ json }) => json).join(',\n')}]`,
  );
  return texts.join(',\n');
}

/** `contextPath` is where clients that upload by the protocol of ChartMuseum do so. */
export async function renderIndex(index: ChartIndex, contextPath?: string): Promise<RenderedBody> {
  const info = contextPath === undefined ? {} : { serverInfo: { contextPath } };
  const end = JSON.stringify({ generated: index.generated, ...info }).slice(1);
  const spell = new Spell();
  const all: Piece[] = [new Piece('{"apiVersion":"v1","entries":{\n')];
  for (const [i, group] of index.groups.entries()) {
    if (i > 0) all.push(COMMA);
    all.push(rendered(group));
    if (spell.isOver) await spell.rest();
  }
  all.push(new Piece(`\n},${end}\n`));
  return { pieces: all, mediaType: INDEX_TYPE };
}
