import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { tryCommand } from './command.ts';
import { imagePath } from './target.ts';

const resultFolder = resolve(import.meta.dirname, '../../../results/conformance');

clientSuite('conformance', (client) => {
  const { target } = client;

  for (const version of ['1.1', 'dev']) {
    test(`passes the distribution specification, version ${version}`, async (context) => {
      const results = join(resultFolder, version);
      await mkdir(results, { recursive: true });
      const { stdout, stderr, code } = await tryCommand(client.path, [], {
        cwd: client.folder,
        timeoutMs: 300_000,
        env: {
          ...client.env,
          OCI_REGISTRY: target.registry,
          OCI_TLS: 'disabled',
          OCI_REPO1: imagePath(`conformance-${version}/repo1`),
          OCI_REPO2: imagePath(`conformance-${version}/repo2`),
          OCI_USERNAME: target.username,
          OCI_PASSWORD: target.password,
          OCI_VERSION: version,
          OCI_RESULTS_DIR: results,
        },
      });
      const found = parseResults(stdout);
      context.diagnostic(
        `version ${version}: ${found.passed.length} passed, ${found.failed.length} failed, ` +
          `${found.skipped.length} skipped`,
      );
      for (const [name, times] of countEach(found.skipped)) {
        context.diagnostic(`version ${version} skipped ${times} times: ${name}`);
      }
      const reasons = [...stderr.matchAll(/msg="failed test" name="OCI Conformance Test\/(.+)$/gm)].map(
        ([, line]) => line,
      );
      const report = `The full report is ${join(results, 'report.html')}.`;
      assert.deepEqual(found.failed, [], [`${found.failed.length} tests fail.`, report, ...reasons].join('\n'));
      assert.ok(found.passed.length > 500, `only ${found.passed.length} tests ran:\n${stdout.slice(-2_000)}`);
      assert.equal(code, 0, stdout.slice(-2_000));
    });
  }
});

interface ConformanceResults {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  readonly skipped: readonly string[];
}

/** Reads the tree the suite prints. Only leaves count: a group repeats the worst result below it. */
function parseResults(output: string): ConformanceResults {
  const lines = [...output.matchAll(/^ *OCI Conformance Test\/(.+): (Pass|FAIL|Error|Skip|Disabled)$/gm)].map(
    ([, name = '', result = '']) => ({ name, result }),
  );
  const leaves = lines.filter(({ name }, index) => !lines[index + 1]?.name.startsWith(`${name}/`));
  const named = (...results: string[]) =>
    leaves.filter(({ result }) => results.includes(result)).map(({ name, result }) => `${name}: ${result}`);
  return { passed: named('Pass'), failed: named('FAIL', 'Error'), skipped: named('Skip', 'Disabled') };
}

function countEach(names: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
