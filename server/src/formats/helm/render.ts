/**
 * The index as clients get it. It is JSON, which is YAML too and which they read faster. Each group of charts is rendered
 * and compressed once; an index is those pieces behind one another.
 */
import { Piece, type RenderedBody } from '../../lib/rendered.ts';
import { Spell } from '../../lib/spell.ts';
import type { Chart, Run } from './chart.ts';
import type { ChartGroup, ChartIndex } from './chart-index.ts';

export const INDEX_TYPE = 'application/x-yaml';

const ofGroups = new WeakMap<ChartGroup, Piece>();
const ofRuns = new WeakMap<Run, Piece>();
const COMMA = new Piece(',\n');
const END = new Piece(']');

/** A chart with many versions stands alone in its group, and its runs are pieces by themselves. */
function* piecesOf(group: ChartGroup): Generator<Piece, void, void> {
  const [chart, ...others] = group.charts;
  if (chart !== undefined && others.length === 0 && chart.runs.length > 1) {
    yield* largeChart(chart);
    return;
  }
  let piece = ofGroups.get(group);
  if (!piece) {
    piece = new Piece(group.charts.map(textOf).join(',\n'));
    ofGroups.set(group, piece);
  }
  yield piece;
}

function* largeChart({ name, runs }: Chart): Generator<Piece, void, void> {
  yield new Piece(`${JSON.stringify(name)}:[\n`);
  for (const [i, run] of runs.entries()) {
    if (i > 0) yield COMMA;
    yield pieceOf(run);
  }
  yield END;
}

function pieceOf(run: Run): Piece {
  let piece = ofRuns.get(run);
  if (!piece) {
    piece = new Piece(entriesOf(run));
    ofRuns.set(run, piece);
  }
  return piece;
}

function textOf(chart: Chart): string {
  return `${JSON.stringify(chart.name)}:[\n${entriesOf(chart)}]`;
}

function entriesOf({ entries }: Chart | Run): string {
  return entries.map(({ json }) => json).join(',\n');
}

/** `contextPath` is where clients that upload by the protocol of ChartMuseum do so. */
export async function renderIndex(index: ChartIndex, contextPath?: string): Promise<RenderedBody> {
  const info = contextPath === undefined ? {} : { serverInfo: { contextPath } };
  const end = JSON.stringify({ generated: index.generated, ...info }).slice(1);
  const spell = new Spell();
  const all: Piece[] = [new Piece('{"apiVersion":"v1","entries":{\n')];
  for (const [i, group] of index.groups.entries()) {
    if (i > 0) all.push(COMMA);
    for (const piece of piecesOf(group)) {
      all.push(piece);
      if (spell.isOver) await spell.rest();
    }
  }
  all.push(new Piece(`\n},${end}\n`));
  return { pieces: all, mediaType: INDEX_TYPE };
}
