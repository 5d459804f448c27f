import { relative } from 'node:path';
import type { Outcome } from './stage-process.ts';

/** One line per file, and in full what failed in it. */
export class FileReport {
  readonly #root: string;
  #file: string | undefined;
  #passed = 0;
  #durationMs = 0;
  #failed: Outcome[] = [];
  #skipped: Outcome[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  add(outcome: Outcome): void {
    if (outcome.file !== this.#file) this.end();
    this.#file = outcome.file;
    this.#durationMs += outcome.durationMs;
    if (outcome.result === 'passed') this.#passed += 1;
    else if (outcome.result === 'failed') this.#failed.push(outcome);
    else this.#skipped.push(outcome);
  }

  end(): void {
    if (this.#file === undefined) return;
    const parts = [`${this.#passed} passed`];
    if (this.#failed.length > 0) parts.push(`${this.#failed.length} failed`);
    if (this.#skipped.length > 0) parts.push(`${this.#skipped.length} skipped`);
    const mark = this.#failed.length > 0 ? '✖' : '✔';
    const seconds = (this.#durationMs / 1000).toFixed(1);
    console.log(`  ${mark} ${relative(this.#root, this.#file)}: ${parts.join(', ')} (${seconds} s)`);
    for (const { name, detail } of this.#skipped) console.log(`    – ${name}: ${detail}`);
    for (const { name, detail } of this.#failed) console.log(`    ✖ ${name}\n${indent(detail)}`);
    this.#file = undefined;
    this.#passed = 0;
    this.#durationMs = 0;
    this.#failed = [];
    this.#skipped = [];
  }
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '      ');
}
