/** How commands show what they found. */

export function say(sentence: string): void {
  process.stdout.write(`${sentence}\n`);
}

/** Rows under their headings, in columns that line up. */
export function showTable(headings: readonly string[], rows: readonly (readonly string[])[]): void {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  for (const row of all) {
    const cells = row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)));
    say(cells.join('  ').trimEnd());
  }
}

export function showTime(at: number | undefined): string {
  return at === undefined ? '-' : new Date(at).toISOString();
}
