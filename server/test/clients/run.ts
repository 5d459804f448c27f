import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { installClients } from './install.ts';
import { type Outcome, renderTable, runTestFiles } from './report.ts';
import { startServer } from './server-under-test.ts';
import { parseStorageNames } from './storage.ts';

/*
 * Runs the tests with real clients: `node server/test/clients/run.ts [client…]`.
 *
 * ENTREPOT_TEST_STORAGE        what the server stores in, several separated by commas (sqlite-fs, postgres-s3)
 * ENTREPOT_TEST_TARGET         a running registry to test instead of a server started here
 * ENTREPOT_CLIENTS_DIR         where clients are installed, instead of .clients
 * ENTREPOT_CLIENTS_KEEP_CACHE  keeps what Go downloaded and compiled, to build other versions sooner
 */
const wanted = process.argv.slice(2);
const files = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => wanted.length === 0 || wanted.some((client) => name === `${client}.test.ts`))
  .map((name) => join(import.meta.dirname, name));
if (files.length === 0) throw new Error(`No test file is named for ${wanted.join(', ')}.`);

// Ending at once, but through the exit handlers, which take the daemons along.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const say = (line: string) => console.log(line);
await installClients(say);

const target = process.env['ENTREPOT_TEST_TARGET'];
const outcomes: Outcome[] = [];
if (target === undefined) {
  for (const storage of parseStorageNames(process.env['ENTREPOT_TEST_STORAGE'])) {
    await using server = await startServer(storage);
    say(`\nEntrepot with ${storage}, its log in ${server.logPath}`);
    outcomes.push(...(await testAgainst(server.targetUrl, storage)));
  }
} else {
  outcomes.push(...(await testAgainst(target, new URL(target).host)));
}

const count = (result: Outcome['result']) => outcomes.filter((outcome) => outcome.result === result).length;
process.exitCode = count('failed') > 0 || count('passed') === 0 ? 1 : 0;
say(`\n${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`);

async function testAgainst(targetUrl: string, label: string): Promise<readonly Outcome[]> {
  process.env['ENTREPOT_TEST_TARGET'] = targetUrl;
  const results = await runTestFiles(files, (outcome) => say(`${outcome.result} ${outcome.client}: ${outcome.what}`));
  for (const outcome of results.outcomes.filter(({ result }) => result === 'failed')) {
    say(`\n── ${outcome.client}: ${outcome.what}\n${outcome.detail}`);
  }
  if (results.notes.length > 0) say(`\nNotes\n${results.notes.join('\n')}`);
  say(`\nClients against ${label}\n\n${renderTable(results.outcomes)}`);
  return results.outcomes;
}
