import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { groovyQuoted, iniValue, kotlinQuoted, propertiesValue, quoted, shellWord, userInfo } from './quoting.ts';

const TEXTS = [
  'plain',
  '',
  "it's",
  '"quoted" \\ back\\\\slash\\"',
  '$HOME $(id) `id` !x *? ~ a;b&c|d<e>f #g',
  ' two  spaces ',
  'lines\nand\ttabs\r',
  '-option',
  'é \u{1f600} \u007f \u0085 \u2028',
];

test('a shell reads the same words', () => {
  const script = `printf '%s\\0' ${TEXTS.map(shellWord).join(' ')}`;
  const read = execFileSync('sh', ['-c', script], { encoding: 'utf8' });
  assert.deepEqual(read.split('\0').slice(0, -1), TEXTS);
  assert.equal(shellWord('https://host:80/a_b-c@1'), 'https://host:80/a_b-c@1');
});

test('JSON reads the same strings, in which nothing is left that TOML and YAML forbid', () => {
  for (const text of TEXTS) {
    assert.equal(JSON.parse(quoted(text)), text);
    assert.doesNotMatch(quoted(text), /[\u0000-\u001f\u007f-\u009f\u2028]/);
  }
});

test('strings of Groovy and Kotlin end where they should and expand nothing', () => {
  assert.equal(groovyQuoted(`it's "x" \\ $y \\"`), `'it\\'s "x" \\\\ $y \\\\"'`);
  assert.equal(kotlinQuoted(`it's "x" \\ $y \f`), `"it's \\"x\\" \\\\ \\$y \\u000c"`);
});

test('values stay on their line', () => {
  assert.equal(iniValue(' a\r\n[section]\u2028b '), 'a [section] b');
  assert.equal(propertiesValue(' a\\b\né'), '\\ a\\\\b\\u000a\\u00e9');
});

test('the name in an address cannot end it', () => {
  assert.equal(userInfo('ann@corp/x:y', 'SECRET'), 'ann%40corp%2Fx%3Ay:SECRET');
});
