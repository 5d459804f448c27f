import { mkdirSync, writeFileSync } from 'node:fs';
import type { Facts } from './facts.ts';
import type { MeasureName, Options } from './options.ts';
import type { Spread } from './stats.ts';

export type Verdict = { readonly wanted: string; readonly isMet: boolean };

/** One measured line: a figure of the subject, beside that of what it is compared with where there is one. */
export type Row = {
  readonly measure: MeasureName;
  readonly label: string;
  readonly unit: string;
  readonly subject: Spread;
  readonly baseline?: Spread;
  readonly ratio?: Spread;
  readonly verdict?: Verdict;
  /** Processor use of the server, such as seconds per GB, with its unit. */
  readonly cpu?: { readonly unit: string; readonly subject: number; readonly baseline?: number };
  /** Cores the clients used; near the number of loaders they, not the server, are what was measured. */
  readonly clientCores?: { readonly subject: number; readonly baseline?: number };
  /** The figures the medians are of, round by round. */
  readonly rounds?: { readonly subject: readonly number[]; readonly baseline: readonly number[] };
  readonly note?: string;
  readonly errors: readonly string[];
};

export type Series = {
  readonly label: string;
  readonly points: readonly { readonly seconds: number; readonly rssMb: number }[];
};

const columns = ['measure', 'case', 'unit', 'subject', 'baseline', 'ratio', 'range', 'bar', '', 'cpu', 'client cores'];

/** Collects the rows of a run, prints each as it comes, and writes them all at the end. */
export class Report {
  readonly rows: Row[] = [];
  readonly series: Series[] = [];
  readonly failures: { measure: MeasureName; message: string }[] = [];

  add(row: Row): void {
    this.rows.push(row);
    console.log(`  ${renderCells(row).slice(1).filter(Boolean).join('  ')}`);
    if (row.errors.length > 0) console.log(`    errors: ${[...new Set(row.errors)].slice(0, 3).join('; ')}`);
  }

  /** A whole run as text for people. */
  render(facts: Facts): string {
    const lines = [
      '# Benchmark',
      '',
      `Subject: ${facts.subject}. Baseline: ${facts.baseline}. Command: \`${facts.command}\`.`,
      '',
      ...Object.entries(facts.machine).map(([name, value]) => `- ${name}: ${value}`),
      '',
      'Figures are medians of the rounds, which alternate between the two servers; the ratio is the median of the',
      "rounds' ratios (subject to baseline), its range the lowest and highest. The processor time is the server's.",
      '',
      ...renderTable(this.rows),
      '',
    ];
    const notes = this.rows.filter((row) => row.note !== undefined || row.errors.length > 0);
    for (const row of notes) {
      lines.push(`- ${row.measure}, ${row.label}: ${[row.note, ...new Set(row.errors)].filter(Boolean).join('; ')}`);
    }
    for (const failure of this.failures) lines.push(`- **${failure.measure} did not finish**: ${failure.message}`);
    const judged = this.rows.filter((row) => row.verdict !== undefined);
    const missed = judged.filter((row) => row.verdict?.isMet === false);
    lines.push('', `${judged.length - missed.length} of ${judged.length} bars met.`, '');
    return lines.join('\n');
  }

  write(dir: string, run: { readonly facts: Facts; readonly options: Options }): void {
    mkdirSync(dir, { recursive: true });
    const content = { ...run, rows: this.rows, series: this.series, failures: this.failures };
    writeFileSync(`${dir}/bench.json`, `${JSON.stringify(content, undefined, 2)}\n`);
    writeFileSync(`${dir}/bench.md`, this.render(run.facts));
  }
}

function renderTable(rows: readonly Row[]): string[] {
  const cells = [columns, ...rows.map(renderCells)];
  const widths = columns.map((_, index) => Math.max(3, ...cells.map((row) => row[index]?.length ?? 0)));
  const lines = cells.map((row) => `| ${row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`);
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`);
  return lines;
}

function renderCells(row: Row): string[] {
  return [
    row.measure,
    row.label,
    row.unit,
    renderNumber(row.subject.median),
    row.baseline === undefined ? '' : renderNumber(row.baseline.median),
    row.ratio === undefined ? '' : `${row.ratio.median.toFixed(2)}×`,
    row.ratio === undefined ? '' : `${row.ratio.min.toFixed(2)}–${row.ratio.max.toFixed(2)}`,
    row.verdict?.wanted ?? '',
    row.verdict === undefined ? '' : row.verdict.isMet ? 'pass' : 'MISS',
    row.cpu === undefined ? '' : `${renderPair(row.cpu.subject, row.cpu.baseline)} ${row.cpu.unit}`,
    row.clientCores === undefined ? '' : renderPair(row.clientCores.subject, row.clientCores.baseline),
  ];
}

function renderPair(subject: number, baseline: number | undefined): string {
  return baseline === undefined ? renderNumber(subject) : `${renderNumber(subject)} / ${renderNumber(baseline)}`;
}

function renderNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
